"""Both clients against the service with its bundled models."""

import asyncio
import io
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from gan_client import AsyncClient, Client, ClientError, ProblemError

PHOTOGRAPH = Path(__file__).parents[2] / "docs" / "images" / "nokota-horses.webp"


@pytest.fixture(scope="module")
def horses() -> Image.Image:
    return Image.open(PHOTOGRAPH).convert("RGB").resize((128, 80))


def test_digits_are_those_of_plain_http(live_service: str) -> None:
    with Client(live_service) as client:
        digits = client.sample(5, seed=7)
    expected = np.load(io.BytesIO(httpx.get(f"{live_service}/mnist/sample?count=5&seed=7&format=npy").content))
    assert (digits.array == expected).all()
    assert (digits.seed, digits.model) == (7, "mnist/3")
    assert [image.size for image in digits.images] == [(28, 28)] * 5
    assert digits.sheet.size == (84, 56)
    assert (np.asarray(digits.sheet)[28:, :28] == expected[3]).all()


def test_a_digit_comes_from_the_model_with_labels(live_service: str) -> None:
    with Client(live_service) as client:
        assert client.sample(digit=7).model.startswith("mnist-conditional/")


def test_digits_between_two_seeds_begin_and_end_there(live_service: str) -> None:
    with Client(live_service) as client:
        between = client.interpolate(5, 15, steps=7)
        first, last = (client.sample(seed=seed).array[0] for seed in (5, 15))
    assert between.array.shape == (7, 28, 28)
    assert (between.seed, between.model) == (None, "mnist/3")
    for end, digit in ((between.array[0], first), (between.array[-1], last)):
        assert np.abs(end.astype(int) - digit).max() <= 1


def test_pixels_files_and_paths_are_translated_alike(live_service: str, tmp_path: Path, horses: Image.Image) -> None:
    path = tmp_path / "horses.png"
    horses.save(path)
    with Client(live_service) as client:
        first, *others = [
            client.translate(image, "horse2zebra", size=64).array
            for image in (path, str(path), path.read_bytes(), horses, np.asarray(horses))
        ]
    assert first.shape == (80, 128, 3)
    assert (first != np.asarray(horses)).any()
    assert all((first == other).all() for other in others)


def test_a_translation_is_what_was_asked_for(live_service: str, tmp_path: Path, horses: Image.Image) -> None:
    with Client(live_service) as client:
        translation = client.translate(horses, "horse2zebra", size=64, format="webp", detail="off")
    assert (translation.media_type, translation.model, translation.model_size) == (
        "image/webp",
        "horse2zebra/10",
        (64, 64),
    )
    translation.save(tmp_path / "zebras.webp")
    assert Image.open(tmp_path / "zebras.webp").size == translation.image.size == (128, 80)


def test_the_models_are_listed(live_service: str) -> None:
    with Client(live_service) as client:
        models = {model.id: model for model in client.models()}
    assert models["horse2zebra/10"].direction == "horse2zebra"
    assert models["mnist-conditional/2"].labels
    assert not models["mnist/3"].labels


def test_a_refusal_says_what_to_do(live_service: str) -> None:
    with Client(live_service) as client, pytest.raises(ProblemError, match="image") as caught:
        client.translate(b"no image", "horse2zebra")
    assert (caught.value.status, caught.value.kind) == (415, "not-an-image")
    assert caught.value.request_id


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1", "127.0.0.1:8000", "http://", "http://[::1", "http://a:99999", "http://a:0"]
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ClientError, match="expected is one like"):
        Client(url)


def test_the_awaited_client_gets_the_same(live_service: str, horses: Image.Image) -> None:
    async def ask() -> tuple[np.ndarray, np.ndarray, int]:
        async with AsyncClient(live_service) as client:
            digits, translation = await asyncio.gather(
                client.sample(3, seed=1), client.translate(horses, "zebra2horse", size=64)
            )
            return digits.array, translation.array, len(await client.models())

    with Client(live_service) as client:
        expected = client.sample(3, seed=1).array, client.translate(horses, "zebra2horse", size=64).array
    digits, translation, number = asyncio.run(ask())
    assert (digits == expected[0]).all()
    assert (translation == expected[1]).all()
    assert number == 4


def test_many_images_come_back_with_their_translation_or_error(live_service: str, horses: Image.Image) -> None:
    images = [horses.resize((64 + 4 * n, 64)) for n in range(6)]
    with Client(live_service) as client:
        found = list(client.translate_many([*images, b"none"], "horse2zebra", in_flight=3, size=64))
    errors = [result for _, result in found if isinstance(result, Exception)]
    sizes = {(image.size, result.image.size) for image, result in found if not isinstance(result, Exception)}
    assert [type(error) for error in errors] == [ProblemError]
    assert sizes == {(image.size, image.size) for image in images}


def test_the_awaited_client_translates_many(live_service: str, horses: Image.Image) -> None:
    async def ask() -> list[tuple[int, int]]:
        async with AsyncClient(live_service) as client:
            return [
                result.image.size
                async for _, result in client.translate_many([horses] * 4, "horse2zebra", in_flight=2, size=64)
                if not isinstance(result, Exception)
            ]

    assert asyncio.run(ask()) == [(128, 80)] * 4
