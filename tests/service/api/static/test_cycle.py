from collections.abc import Callable

from playwright.sync_api import Page, expect


def translated(page: Page, address: str, file: dict[str, object]) -> None:
    page.goto(address)
    page.get_by_label("Choose an image").set_input_files([file])
    expect(page.locator("#cyclegan > .status")).to_contain_text("ready for the way back")


def test_the_cycle_shows_three_images_and_its_error(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    """The test's model inverts and its counterpart copies: each pixel of the cycle is 255 grey levels away."""
    expect_first = "Translate an image above"
    page.goto(address)
    expect(page.locator("#cyclegan > .status")).to_contain_text(expect_first)
    expect(page.get_by_role("button", name="Run the cycle")).to_be_disabled()
    translated(page, address, photograph())
    page.get_by_role("button", name="Run the cycle").click()
    expect(page.locator("#cyclegan > .status")).to_contain_text("a pixel is 255.0 of 255 grey levels")
    expect(page.locator("#cycle-loss")).to_have_text("Yours: 2.000 (255.0 of 255 grey levels)")
    expect(page.locator("#identity-loss")).to_have_text("Yours: 0.000 (0.0 of 255 grey levels)")
    for name in ("x", "y", "back"):
        assert page.locator(f"#cycle-{name}").evaluate("image => image.naturalWidth") == 256


def test_the_cycle_of_a_large_image_is_made_smaller(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    translated(page, address, photograph(1600, 1200))
    page.get_by_role("button", name="Run the cycle").click()
    expect(page.locator("#cyclegan > .status")).to_contain_text("After the cycle")
    for name in ("x", "y", "back"):
        size = page.locator(f"#cycle-{name}").evaluate("image => [image.naturalWidth, image.naturalHeight]")
        assert size == [768, 576]


def test_a_new_image_ends_the_cycle_of_the_older_one(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    translated(page, address, photograph())
    page.get_by_role("button", name="Run the cycle").click()
    expect(page.locator("#cycle-x")).to_be_visible()
    page.get_by_role("button", name="Example: a black horse").click()
    expect(page.locator("#cycle-x")).to_be_hidden()
    expect(page.locator("#cycle-loss")).to_be_empty()


def test_the_cycle_uses_the_chosen_size_and_no_lossy_format(page: Page, address: str) -> None:
    page.goto(f"{address}/?example=foal&size=256&format=jpeg")
    asked: list[str] = []
    expect(page.locator("#cycle-run")).to_be_enabled()
    page.on("request", lambda request: "/translate/" in request.url and asked.append(request.url.split("/")[-1]))
    page.locator("#cycle-run").click()
    expect(page.locator("#cyclegan > .status")).to_contain_text("After the cycle")
    back = "zebra2horse?size=256&format=png"
    assert asked == ["horse2zebra?size=256&format=png", back, back]


def test_a_cycle_that_fails_says_so(page: Page, address: str, photograph: Callable[..., dict[str, object]]) -> None:
    translated(page, address, photograph())
    page.route("**/translate/zebra2horse*", lambda route: route.abort())
    page.get_by_role("button", name="Run the cycle").click()
    expect(page.locator("#cyclegan > .alert")).to_contain_text("did not respond")
    expect(page.locator("#cycle-images")).to_be_hidden()
