import io
import json
from urllib.parse import parse_qs, urlsplit

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect


def query_of(page: Page) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(page.url).query).items()}


def seeds(page: Page) -> list[str]:
    expect(page.locator("#digits")).to_have_attribute("aria-busy", "false")
    return page.locator("#grid button").evaluate_all("tiles => tiles.map(tile => tile.dataset.seed)")


def test_the_first_visit_draws_digits_and_the_address_bar_has_their_seed(page: Page, address: str) -> None:
    page.goto(address)
    shown = seeds(page)
    assert len(shown) == 64
    assert query_of(page) == {"seed": shown[0], "count": "64"}
    page.reload()
    assert seeds(page) == shown


def test_a_typed_seed_is_kept_until_another_is_drawn(page: Page, address: str) -> None:
    page.goto(address)
    assert len(seeds(page)) == 64
    page.get_by_label("Seed", exact=True).fill("18446744073709551615")
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", "18446744073709551615")
    assert seeds(page)[1] == "0"
    assert query_of(page)["keep"] == "1"
    page.get_by_label("Use this seed again").uncheck()
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#grid button").first).not_to_have_attribute("data-seed", "18446744073709551615")
    assert "keep" not in query_of(page)


def test_a_seed_that_is_typed_during_a_slow_response_stays(page: Page, address: str) -> None:
    held: list[Route] = []
    page.route("**/mnist/sample?*", lambda route: held.append(route))
    page.goto(address)
    expect(page.locator("#digits")).to_have_attribute("aria-busy", "true")
    page.get_by_label("Seed", exact=True).press_sequentially("12")
    held[0].continue_()
    assert len(seeds(page)) == 64
    expect(page.get_by_label("Seed", exact=True)).to_have_value("12")


def test_digit_and_count_keep_the_seed(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5")
    seeds(page)
    page.locator("select[name=digit]").select_option("7")
    page.get_by_label("How many").select_option("16")
    expect(page.locator("#grid button")).to_have_count(16)
    assert query_of(page) == {"seed": "5", "count": "16", "digit": "7"}
    expect(page.locator("#digits > .status")).to_contain_text("mnist-conditional/1")


@pytest.mark.parametrize("seed", ["seven", "18446744073709551616", "-1"])
def test_a_wrong_seed_is_explained_and_nothing_else_is_shown(page: Page, address: str, seed: str) -> None:
    page.goto(address)
    seeds(page)
    page.get_by_label("Seed", exact=True).fill(seed)
    page.get_by_role("button", name="Draw digits").click()
    expect(page.get_by_role("alert").filter(has_text="A seed is a whole number")).to_be_visible()
    expect(page.locator("#grid button")).to_have_count(0)


def test_a_chosen_digit_is_large_and_its_link_leads_back_to_it(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=16")
    page.get_by_role("button", name="Digit of seed 8", exact=True).click()
    expect(page.locator("#large")).to_have_attribute("alt", "Digit of seed 8")
    link = page.get_by_label("Link to this digit").input_value()
    chosen = page.locator("#large").get_attribute("src")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as PNG").click()
    assert download.value.suggested_filename == "digit-8.png"
    saved, sampled = download.value.path(), httpx.get(f"{address}/mnist/sample?seed=8").content
    assert list(Image.open(saved).tobytes()) == list(Image.open(io.BytesIO(sampled)).tobytes())
    page.goto(link.replace("count=16", "count=1"))  # so that the grid does not have it
    expect(page.locator("#large")).to_have_attribute("src", str(chosen))


def test_the_link_is_copied(page: Page, address: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{address}/?seed=5&chosen=5")
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_text("The link is copied.")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.get_by_label("Link to this digit").input_value()


def test_where_the_clipboard_is_closed_the_link_is_selected(page: Page, address: str) -> None:
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(f"{address}/?seed=5&chosen=5")
    page.get_by_role("button", name="Copy the link").click()
    expect(page.get_by_text("The link is selected")).to_be_visible()
    link = page.get_by_label("Link to this digit").input_value()
    assert page.evaluate("getSelection().toString() || document.activeElement.id") in ("link", link)


def test_the_digits_are_downloaded_in_three_formats(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=16")
    seeds(page)
    files = {}
    for name in ("PNG", "NPY", "JSON"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name, exact=True).click()
        assert download.value.suggested_filename == f"digits-5.{name.lower()}"
        files[name] = download.value.path().read_bytes()
    assert files["PNG"] == httpx.get(f"{address}/mnist/sample?seed=5&count=16").content
    assert np.load(io.BytesIO(files["NPY"])).shape == (16, 28, 28)
    assert [digit["seed"] for digit in json.loads(files["JSON"])["digits"]] == [str(n) for n in range(5, 21)]


def test_a_slow_response_does_not_replace_a_later_one(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=1&count=16")
    seeds(page)
    held: list[Route] = []
    page.route("**/mnist/sample?*seed=100&*", lambda route: held.append(route))
    field = page.get_by_label("Seed", exact=True)
    field.fill("100")
    field.press("Enter")
    expect(page.locator("#digits")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#digits > .status")).to_have_text("Drawing 16 digits …")
    field.fill("200")
    field.press("Enter")
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", "200")
    held[0].fulfill(json={"digits": [{"seed": "100", "png": ""}]})
    page.wait_for_timeout(200)
    assert seeds(page)[0] == "200"


def test_arrow_keys_move_within_the_grid(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=0&count=16")
    seeds(page)
    page.locator("#grid button").first.focus()
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowUp", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    assert query_of(page)["chosen"] == "3"


def test_home_and_end_move_to_the_ends_of_the_grid_and_the_focus_stays_visible(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=0&count=16")
    seeds(page)
    page.locator("#grid button").nth(5).click()
    assert page.locator("#grid button[tabindex='0']").evaluate_all("tiles => tiles.map(t => t.dataset.seed)") == ["5"]
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert query_of(page)["chosen"] == "5,15"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("Home")
    expect(page.locator("#grid button").first).to_be_focused()


def test_a_typed_seed_is_asked_for_once(page: Page, address: str) -> None:
    asked: list[str] = []
    page.goto(f"{address}/?count=16")
    seeds(page)
    page.on("request", lambda request: "/mnist/sample?" in request.url and asked.append(request.url))
    page.get_by_label("Seed", exact=True).fill("77")
    page.get_by_label("Seed", exact=True).press("Enter")
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", "77")
    page.get_by_label("Seed", exact=True).fill("88")
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", "88")
    assert len(asked) == 2


def test_a_slow_digit_does_not_replace_a_newer_choice(page: Page, address: str) -> None:
    held: list[Route] = []
    page.route("**/mnist/sample?seed=900&*", lambda route: held.append(route))
    page.goto(f"{address}/?seed=5&count=16&chosen=900")
    expect(page.locator("#grid button").first).to_be_visible()
    page.get_by_role("button", name="Digit of seed 8", exact=True).click()
    expect(page.locator("#large")).to_have_attribute("alt", "Digit of seed 8")
    shown = page.locator("#large").get_attribute("src")
    held[0].fulfill(json={"digits": [{"seed": "900", "png": ""}]})
    page.wait_for_timeout(200)
    expect(page.locator("#large-seed")).to_have_text("Seed 8")
    assert page.locator("#large").get_attribute("src") == shown


def test_a_digit_that_fails_leaves_the_grid(page: Page, address: str) -> None:
    page.route("**/mnist/sample?seed=900&*", lambda route: route.abort())
    page.goto(f"{address}/?seed=5&count=16&chosen=900")
    expect(page.locator("#large-alert")).to_contain_text("did not respond")
    expect(page.locator("#chosen")).to_be_hidden()
    assert len(seeds(page)) == 16


def test_what_an_address_cannot_mean_is_left_out(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=none&chosen=5,5")
    assert len(seeds(page)) == 64
    expect(page.locator("#large-seed")).to_have_text("Seed 5")
    expect(page.locator("#strip")).to_be_hidden()
    expect(page.get_by_label("How many").locator("option")).to_have_text(["1", "4", "16", "36", "64", "144", "256"])


def test_a_draw_that_fails_leaves_the_last_digits_in_the_address(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=16&chosen=5")
    seeds(page)
    page.route("**/mnist/sample?*", lambda route: route.abort())
    page.get_by_label("Seed", exact=True).fill("6")
    page.get_by_label("Seed", exact=True).press("Enter")
    expect(page.locator("#digits > .alert")).to_contain_text("did not respond")
    assert query_of(page) == {"seed": "5", "count": "16", "chosen": "5"}


def test_the_link_of_a_digit_has_no_more_than_it_needs_and_leads_to_it(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 375, "height": 500})
    page.goto(f"{address}/?seed=5&count=16&keep=1&lang=ko&chosen=8&example=foal")
    expect(page.locator("#link")).to_have_value(f"{address}/?count=16&seed=5&chosen=8#chosen")
    page.goto(page.locator("#link").input_value())
    expect(page.locator("#large")).to_be_in_viewport()


def test_downloads_at_once_do_not_cancel_one_another(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=16")
    seeds(page)
    held: list[Route] = []
    page.route("**/mnist/sample?*format=png", lambda route: held.append(route))
    page.get_by_role("button", name="PNG", exact=True).click()
    expect(page.locator("#saving")).to_have_text("Preparing the PNG file …")
    with page.expect_download():
        page.get_by_role("button", name="NPY").click()
    with page.expect_download() as download:
        held[0].continue_()
    assert download.value.suggested_filename == "digits-5.png"
    expect(page.locator("#saving")).to_be_empty()


def test_an_address_with_a_part_of_the_page_leads_there(page: Page, address: str) -> None:
    page.goto(f"{address}/?count=64&example=foal#service")
    expect(page.locator("#translation > .status")).to_contain_text("Translated in")
    expect(page.locator("#service-title")).to_be_in_viewport()


def test_back_leads_to_the_digits_before(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=5&count=16")
    assert seeds(page)[0] == "5"
    page.get_by_role("link", name="What is a GAN?").click()
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#grid button").first).not_to_have_attribute("data-seed", "5")
    drawn = seeds(page)[0]
    page.get_by_label("How many").select_option("4")
    expect(page.locator("#grid button")).to_have_count(4)
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("html")).to_have_attribute("lang", "ko")
    page.go_back()
    expect(page.locator("#grid button")).to_have_count(16)
    assert seeds(page)[0] == query_of(page)["seed"] == drawn
    page.go_back()
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", "5")
    assert query_of(page) == {"seed": "5", "count": "16", "lang": "ko"}  # the language stays
    page.go_forward()
    expect(page.locator("#grid button").first).to_have_attribute("data-seed", drawn)


def test_on_a_telephone_a_chosen_digit_comes_into_view(page: Page, address: str) -> None:
    page.set_viewport_size({"width": 375, "height": 700})
    page.goto(f"{address}/?seed=5&count=64")
    page.get_by_role("button", name="Digit of seed 8", exact=True).click()
    expect(page.locator("#large")).to_be_in_viewport()
