import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

DROP = """([name, type, bytes]) => {
  const files = new DataTransfer();
  if (name) files.items.add(new File([new Uint8Array(bytes)], name, {type}));
  const fire = (target, event) => target.dispatchEvent(event);
  return {
    drop: () => fire(
      document.getElementById("drop"),
      new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true}),
    ),
    paste: () => fire(document, new ClipboardEvent("paste", {clipboardData: files})),
  };
}"""


def upload(page: Page, file: dict[str, object]) -> None:
    page.get_by_label("Choose an image").set_input_files([file])


def pixel(page: Page, selector: str, x: float = 0.25) -> list[int]:
    """Red, green and blue of an image, in the middle of its height."""
    return page.locator(selector).evaluate(
        """async (image, x) => {
          await image.decode();
          const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
          canvas.drawImage(image, 0, 0);
          return [...canvas.getImageData(x * image.naturalWidth, image.naturalHeight / 2, 1, 1).data.slice(0, 3)];
        }""",
        x,
    )


def done(page: Page) -> None:
    expect(page.locator("#translation > .status")).to_contain_text("Translated in")


def test_an_image_is_translated_as_soon_as_it_is_chosen(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    upload(page, photograph())
    done(page)
    assert pixel(page, "#before") == [255, 0, 0]
    assert pixel(page, "#after") == [0, 255, 255]
    expect(page.locator("#made-by")).to_contain_text("horse2zebra/1, size inside the model: 256 \u00d7 192 pixels")
    stages = ["decode", "queue", "inference", "encode", "in all, with the network"]
    expect(page.locator("#timing dt")).to_have_text(stages)


def test_an_image_that_is_chosen_before_the_models_are_known_is_translated_then(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    held: list[Route] = []
    page.route("**/models", lambda route: held.append(route))
    page.goto(address)
    upload(page, photograph())
    expect(page.locator("#file-name")).to_have_text("horse.png")
    held[0].continue_()
    done(page)


def test_the_slider_uncovers_the_translation(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    upload(page, photograph())
    done(page)
    slider = page.get_by_role("slider", name="Edge between")
    slider.focus()
    slider.press("Home")
    assert "inset(0px 0px 0px 0%)" in page.locator("#after").evaluate("image => getComputedStyle(image).clipPath")
    slider.press("End")
    assert "inset(0px 0px 0px 100%)" in page.locator("#after").evaluate("image => getComputedStyle(image).clipPath")


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(
    page: Page, address: str, photograph: Callable[..., dict[str, object]], way: str
) -> None:
    page.goto(address)
    expect(page.locator("#examples button")).to_have_count(4)
    file = photograph()
    page.evaluate(f"file => ({DROP})(file).{way}()", [file["name"], file["mimeType"], [*file["buffer"]]])
    done(page)
    assert pixel(page, "#after") == [0, 255, 255]


def test_text_that_is_dropped_is_refused_with_words(page: Page, address: str) -> None:
    page.goto(address)
    page.evaluate(f"file => ({DROP})(file).drop()", ["", "", []])
    expect(page.locator("#translation > .alert")).to_contain_text("no image file")


def test_examples_choose_their_direction_and_stand_in_the_address_bar(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Example: a zebra").click()
    done(page)
    expect(page.get_by_label("Direction")).to_have_value("zebra2horse")
    page.reload()
    done(page)
    expect(page.get_by_label("Direction")).to_have_value("zebra2horse")
    expect(page.locator("#made-by")).to_contain_text("zebra2horse/1")
    assert page.locator("#examples img").evaluate_all("images => images.every(image => image.naturalWidth > 0)")


def test_size_format_and_model_are_asked_for(
    page: Page, start: Callable[..., tuple[str, object]], tmp_path: Path, publish: Callable[..., Path]
) -> None:
    for version in ("1", "2"):
        publish(tmp_path, "horse2zebra", version)
    address, _ = start(models=tmp_path)
    page.goto(f"{address}/?example=foal")
    done(page)
    page.get_by_text("Size, format, model").click()
    page.get_by_label("Size inside the model").select_option("256")
    page.get_by_label("Format of the result").select_option("png")
    page.locator("select[name=model]").select_option("horse2zebra/1")
    expect(page.locator("#made-by")).to_contain_text("horse2zebra/1, size inside the model: 256 \u00d7 192 pixels")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the translation").click()
    assert download.value.suggested_filename == "foal-horse2zebra.png"
    image = Image.open(io.BytesIO(download.value.path().read_bytes()))
    assert (image.format, image.size) == ("PNG", (400, 300))
    page.reload()
    expect(page.locator("#made-by")).to_contain_text("horse2zebra/1, size inside the model: 256 \u00d7 192 pixels")


@pytest.mark.parametrize("flags", [("--image-pixels", "20000"), ("--body-bytes", "4000")])
def test_an_image_beyond_the_bounds_is_shrunk_and_that_is_said(
    page: Page, start: Callable[..., tuple[str, object]], noise: Callable[..., Image.Image], flags: tuple[str, str]
) -> None:
    address, _ = start(*flags)
    page.goto(address)
    buffer = io.BytesIO()
    noise(400, 200).save(buffer, "PNG")
    upload(page, {"name": "large.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    done(page)
    told = (
        "Your image was 400 \u00d7 200 pixels"
        if "--image-pixels" in flags
        else "The browser has saved it again as a JPEG"
    )
    expect(page.locator("#shrunk")).to_contain_text(told)
    width, height = page.locator("#after").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert width * height <= 20000
    assert abs(width / height - 2) < 0.05


def test_a_file_that_the_browser_cannot_read_is_translated_or_refused_with_words(
    page: Page, start: Callable[..., tuple[str, object]], photograph: Callable[..., dict[str, object]]
) -> None:
    address, _ = start("--body-bytes", "30000", "--image-pixels", "8000")
    page.goto(address)
    upload(page, photograph(width=96, height=64, format="TIFF"))
    done(page)
    expect(page.locator("#before")).to_be_hidden()  # there is nothing to compare
    assert pixel(page, "#after") == [0, 255, 255]
    upload(page, photograph(width=98, height=96, format="TIFF"))
    expect(page.locator("#translation > .alert")).to_contain_text("too large for this service")
    upload(page, photograph(format="TIFF"))
    expect(page.locator("#translation > .alert")).to_contain_text("the browser cannot shrink it")


def test_a_failure_removes_the_older_translation(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    upload(page, photograph())
    done(page)
    upload(page, {"name": "note.txt", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.locator("#translation > .alert")).to_contain_text("cannot read this as an image")
    expect(page.locator("#result")).to_be_hidden()
    upload(page, photograph())
    done(page)
    expect(page.locator("#translation > .alert")).to_be_empty()


def test_a_slow_translation_does_not_replace_a_later_one(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    held: list[Route] = []
    page.route("**/translate/horse2zebra*", lambda route: held.append(route))
    upload(page, photograph())
    expect(page.locator("#translation")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#translation > .status")).to_have_text("Translating …")
    page.get_by_label("Direction").select_option("zebra2horse")
    done(page)
    held[0].fulfill(body=b"older", content_type="image/png")
    page.wait_for_timeout(200)
    assert pixel(page, "#after") == [255, 0, 0]


def test_a_translation_that_is_replaced_while_it_is_decoded_is_not_shown(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    page.evaluate(
        """() => {
          const decode = HTMLImageElement.prototype.decode;
          window.release = [];
          HTMLImageElement.prototype.decode = async function () {
            await new Promise(resolve => {
              document.documentElement.dataset.held = window.release.push(resolve);
            });
            return decode.call(this);
          };
        }"""
    )
    upload(page, photograph())
    expect(page.locator("html")).to_have_attribute("data-held", "2")
    page.get_by_label("Direction").select_option("zebra2horse")
    expect(page.locator("html")).to_have_attribute("data-held", "4")
    page.evaluate("release.slice(0, 2).forEach(resolve => resolve())")
    page.wait_for_timeout(200)
    expect(page.locator("#result")).to_be_hidden()
    expect(page.locator("#translation > .status")).to_have_text("Translating …")
    page.evaluate("release.slice(2).forEach(resolve => resolve())")
    done(page)
    expect(page.locator("#made-by")).to_contain_text("zebra2horse/1")


def test_an_address_keeps_the_direction_that_was_chosen_for_an_example(page: Page, address: str) -> None:
    page.goto(f"{address}/?example=foal&direction=zebra2horse")
    done(page)
    expect(page.locator("#made-by")).to_contain_text("zebra2horse/1")
    assert "direction=zebra2horse" in page.url


def test_an_image_that_is_dropped_beside_the_box_is_taken(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.goto(address)
    expect(page.locator("#examples button")).to_have_count(4)
    file = photograph()
    script = DROP.replace('document.getElementById("drop")', "document.body")
    page.evaluate(f"file => ({script})(file).drop()", [file["name"], file["mimeType"], [*file["buffer"]]])
    done(page)


def test_translating_without_an_image_says_what_to_do(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Translate", exact=True).click()
    expect(page.locator("#translation > .alert")).to_have_text("Choose an image first: an example, or your own.")


def test_a_telephone_offers_its_camera(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    page.goto(address)
    expect(page.get_by_text("Take a photograph")).to_be_visible()
    assert page.get_by_label("Take a photograph").get_attribute("capture") == "environment"


def test_a_pair_of_other_kinds_alone_is_greeted_without_an_error(
    page: Page,
    start: Callable[..., tuple[str, object]],
    tmp_path: Path,
    publish: Callable[..., Path],
    photograph: Callable[..., dict[str, object]],
) -> None:
    card = publish(tmp_path, "horse2zebra") / "card.json"
    card.write_text(card.read_text().replace('"direction":"horse2zebra"', '"direction":"apple2orange"'))
    address, _ = start(models=tmp_path)
    page.goto(address)
    expect(page.get_by_label("Direction").locator("option")).to_have_text(["apple → orange"])
    expect(page.locator("#examples")).to_be_hidden()
    expect(page.locator("#digits")).to_be_hidden()
    expect(page.get_by_role("link", name="What is a GAN?")).to_be_hidden()
    upload(page, photograph())
    done(page)
    expect(page.locator("#cyclegan > .status")).to_have_text("This service has no model for the way back.")
    expect(page.get_by_role("alert").filter(has_text="Not Found")).to_have_count(0)


def test_after_a_translation_by_button_the_slider_has_the_focus(page: Page, address: str) -> None:
    page.goto(f"{address}/?example=foal")
    done(page)
    page.get_by_role("button", name="Translate", exact=True).press("Enter")
    expect(page.locator("#compare input")).to_be_focused()


def test_an_empty_file_is_told_to_be_no_image(page: Page, address: str) -> None:
    page.goto(address)
    upload(page, {"name": "empty.jpg", "mimeType": "image/jpeg", "buffer": b""})
    expect(page.locator("#translation > .alert")).to_contain_text("cannot read this as an image")
