import pytest
import torch
from torch import Tensor
from torch.nn import functional

from training import domain_randomisation
from training.domain_randomisation import LARGEST_ZOOM, NOISE, randomise


def drawn(monkeypatch: pytest.MonkeyPatch, zoom: float = 0.0, *rest: float, grain: Tensor | None = None) -> None:
    """Draws by hand; 0 is no zoom, and by default neither colours nor noise change."""
    draws = torch.tensor([zoom, *(rest or (0.0, 0.0, 0.5, 0.5, 0.5, 0.0))])
    monkeypatch.setattr(torch, "rand", lambda *args, **kwargs: draws)
    if grain is not None:
        monkeypatch.setattr(torch, "randn", lambda *args, **kwargs: grain)


def pictures(n: int = 1, side: int = 20) -> tuple[Tensor, Tensor]:
    made, answers = torch.rand(2, n, 3, side, side) - 0.5
    return made, answers


def test_middling_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made, answers = pictures()
    drawn(monkeypatch)
    changed, expected = randomise(made, answers, 0, [0])
    torch.testing.assert_close(changed, made)
    torch.testing.assert_close(expected, answers)


def test_a_picture_and_its_answer_are_enlarged_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    made, answers = pictures()
    drawn(monkeypatch, 1.0, 0.999, 0.0, 0.5, 0.5, 0.5, 0.0)
    changed, expected = randomise(made, answers, 0, [0])
    for result, whole in ((changed, made), (expected, answers)):
        corner = whole[:, :, 12:, :8]  # a part of 1 / 2.5, at the bottom on the left
        torch.testing.assert_close(result, functional.interpolate(corner, (20, 20), mode="bilinear"))


@pytest.mark.parametrize(
    ("which", "draw", "expected"),
    [
        ("saturation", 0.0, lambda x: x.mean(1, keepdim=True) + (x - x.mean(1, keepdim=True)) / 2),
        ("contrast", 1.0, lambda x: x.mean() + 2**0.5 * (x - x.mean())),
        ("brightness", 0.0, lambda x: x - 0.2),
    ],
)
def test_colours_of_the_picture_alone_change(
    monkeypatch: pytest.MonkeyPatch, which: str, draw: float, expected: object
) -> None:
    made, answers = (x / 2 for x in pictures())  # so that nothing leaves [-1, 1]
    colours = {"saturation": 0.5, "contrast": 0.5, "brightness": 0.5, which: draw}
    drawn(monkeypatch, 0.0, 0.0, 0.0, *colours.values(), 0.0)
    changed, same = randomise(made, answers, 0, [0])
    assert callable(expected)
    torch.testing.assert_close(changed, expected(made))
    torch.testing.assert_close(same, answers)


def test_noise_falls_on_the_picture_and_stays_in_range(monkeypatch: pytest.MonkeyPatch) -> None:
    made, answers = pictures()
    grain = torch.full((3, 20, 20), 30.0)
    grain[:, 0] = 1
    drawn(monkeypatch, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, grain=grain)
    changed, same = randomise(made, answers, 0, [0])
    torch.testing.assert_close(changed[:, :, 0], made[:, :, 0] + NOISE / 2)
    assert (changed[:, :, 1:] == 1).all()
    torch.testing.assert_close(same, answers)


def test_what_is_drawn_is_of_the_image_alone_and_differs() -> None:
    made, answers = pictures(4)
    together = randomise(made, answers, 3, range(4))
    for one, of_four in zip(randomise(made[2:3], answers[2:3], 3, [2]), together, strict=True):
        assert torch.equal(one[0], of_four[2])
    twice = randomise(made[:1].expand(2, -1, -1, -1), answers[:1].expand(2, -1, -1, -1), 3, [7, 8])
    assert all(not torch.equal(*pair) for pair in twice)


def test_every_zoom_is_drawn_up_to_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    factors: list[float] = []
    enlarged = domain_randomisation._enlarged

    def watched(images: Tensor, factor: float, down: float, right: float) -> Tensor:
        factors.append(factor)
        return enlarged(images, factor, down, right)

    monkeypatch.setattr(domain_randomisation, "_enlarged", watched)
    made, answers = pictures(200, 8)
    randomise(made, answers, 0, range(200))
    assert 1 <= min(factors) < 1.05
    assert 0.95 * LARGEST_ZOOM < max(factors) <= LARGEST_ZOOM
    assert sum(f < LARGEST_ZOOM**0.5 for f in factors) == pytest.approx(100, abs=25)


def test_pictures_in_bf16_are_changed_in_fp32() -> None:
    made, answers = pictures()
    assert all(x.dtype is torch.float32 for x in randomise(made.bfloat16(), answers, 0, [0]))
