"""Each kind of error, as the page tells it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

Start = Callable[..., tuple[str, "subprocess.Popen[str]"]]


def drawn(page: Page) -> None:
    expect(page.locator("#grid button").first).to_be_visible()


def test_a_problem_is_told_in_words_with_the_services_explanation(page: Page, address: str) -> None:
    page.route("**/mnist/sample?*", lambda route: route.continue_(url=route.request.url.replace("=64", "=2000")))
    page.goto(f"{address}/?seed=1")
    alert = page.locator("#digits > .alert")
    expect(alert.locator("p").first).to_have_text(
        "The service does not accept this. Change what it names, and try again."
    )
    expect(alert.locator(".detail")).to_contain_text("count: Input should be less than or equal to 1024")
    assert "Unprocessable" not in alert.inner_text()


def in_between(page: Page, status: int, html: str) -> None:
    """Something in front of the service responds in its place."""
    page.unroute("**/mnist/sample?*")
    page.route("**/mnist/sample?*", lambda route: route.fulfill(status=status, body=html, content_type="text/html"))


def test_a_proxys_html_is_no_riddle(page: Page, address: str) -> None:
    in_between(page, 502, "<h1>Bad Gateway</h1>")
    page.goto(address)
    alert = page.locator("#digits > .alert")
    expect(alert).to_contain_text("such as a proxy (status 502)")
    assert "token" not in alert.inner_text()
    in_between(page, 200, "<h1>Log in</h1>")
    page.get_by_role("button", name="Draw digits").click()
    expect(alert).to_contain_text("such as a proxy (status 200)")


def test_a_lost_connection_is_told_and_the_older_digits_are_gone(page: Page, start: Start) -> None:
    address, process = start()
    page.goto(address)
    drawn(page)
    process.terminate()
    process.wait()
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#digits > .alert")).to_have_text(
        "The service did not respond. Check your connection, and try again."
    )
    expect(page.locator("#grid button")).to_have_count(0)
    expect(page.locator("#downloads")).to_be_hidden()


def test_the_key_is_asked_for_and_never_in_the_address_bar(page: Page, start: Start, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service", "keys", "add", "student", "--keys", str(tmp_path / "keys")]
    key = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
    address, _ = start("--keys", str(tmp_path / "keys"))
    page.goto(address)
    expect(page.get_by_role("alert").filter(has_text="needs a valid API key")).to_be_visible()
    expect(page.get_by_label("API key")).to_be_focused()
    page.get_by_label("API key").fill("gan_wrong")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#page-alert")).to_have_text("The service needs a valid API key. Enter it above.")
    page.get_by_label("API key").fill("ㅎ뭐")  # what a Korean keyboard makes of Latin keys; no header can have it
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#page-alert")).to_have_text("The service needs a valid API key. Enter it above.")
    assert page.evaluate("sessionStorage.length") == 0
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    drawn(page)
    expect(page.locator("#main")).to_be_focused()
    expect(page.get_by_label("API key")).to_be_hidden()
    expect(page.locator("#page-alert")).to_be_empty()
    with page.expect_download():
        page.get_by_role("button", name="NPY").click()
    page.get_by_role("button", name="Example: a black horse").click()
    expect(page.locator("#result")).to_be_visible()
    page.locator("#service").scroll_into_view_if_needed()
    expect(page.locator(".live dd").first).to_have_text("0")
    assert key not in page.url
    assert page.evaluate("localStorage.length") == 0
    page.reload()
    drawn(page)


def test_a_rate_limit_bounds_what_is_offered_and_says_when_to_try_again(page: Page, start: Start) -> None:
    address, _ = start("--rate-limit", "5/minute")
    page.goto(address)
    drawn(page)
    expect(page.get_by_label("How many")).to_have_value("1")
    expect(page.get_by_label("How many").locator("option")).to_have_text(["1", "4"])
    page.get_by_label("How many").select_option("4")
    expect(page.locator("#grid button")).to_have_count(4)
    page.locator("#grid button").nth(0).click()
    with page.expect_request("**/mnist/interpolate?*steps=5&*"):
        page.locator("#grid button").nth(1).click()
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#digits > .alert")).to_contain_text("takes your next request in")


def test_a_limit_below_what_is_asked_for_is_told(page: Page, start: Start) -> None:
    address, _ = start("--rate-limit", "1/minute")
    page.goto(f"{address}/?seed=1&count=16&chosen=1,2")
    expect(page.locator("#grid button")).to_have_count(1)
    expect(page.locator("#strip .alert")).to_contain_text("more images than your limit allows")


@pytest.mark.parametrize(
    ("status", "text"), [(413, "too large for this service"), (503, "busy or stopping"), (504, "took too long")]
)
def test_a_proxys_error_is_told_by_its_status(page: Page, address: str, status: int, text: str) -> None:
    in_between(page, status, "<h1>Sorry</h1>")
    page.goto(address)
    expect(page.locator("#digits > .alert")).to_contain_text(text)


def test_a_slow_network_shows_that_a_response_is_awaited(page: Page, address: str) -> None:
    session = page.context.new_cdp_session(page)
    page.goto(address)
    drawn(page)
    speed = {"offline": False, "latency": 1500, "downloadThroughput": 20_000, "uploadThroughput": 20_000}
    session.send("Network.emulateNetworkConditions", speed)
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#digits > .status")).to_have_text("Drawing 64 digits …")
    expect(page.locator("#digits")).to_have_attribute("aria-busy", "true")
    expect(page.locator("#digits > .status")).to_contain_text("64 digits, seeds from")
    expect(page.locator("#digits")).to_have_attribute("aria-busy", "false")


def test_a_list_of_models_that_fails_once_can_be_asked_for_again(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    page.route("**/models", lambda route: route.abort(), times=1)
    page.goto(address)
    page.get_by_label("Choose an image").set_input_files([photograph()])
    expect(page.locator("#translation > .alert")).to_contain_text("did not respond")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#translation > .status")).to_contain_text("Translated in")
    expect(page.locator("#page-alert")).to_be_empty()
    drawn(page)


def test_while_the_models_are_awaited_an_image_is_too(
    page: Page, address: str, photograph: Callable[..., dict[str, object]]
) -> None:
    held: list[Route] = []
    page.route("**/models", lambda route: held.append(route))
    page.goto(address)
    expect(page.locator("#cycle-run")).to_be_disabled()
    page.get_by_label("Choose an image").set_input_files([photograph()])
    expect(page.locator("#translation > .status")).to_have_text("Waiting for the list of models …")
    held[0].continue_()
    expect(page.locator("#translation > .status")).to_contain_text("Translated in")


def test_a_damaged_response_is_told(page: Page, address: str, photograph: Callable[..., dict[str, object]]) -> None:
    page.goto(address)
    page.route("**/translate/*", lambda route: route.fulfill(body=b"half an image", content_type="image/png"))
    page.get_by_label("Choose an image").set_input_files([photograph()])
    expect(page.locator("#translation > .alert")).to_contain_text("not as the page expects it")


def test_a_module_that_cannot_be_loaded_is_told(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(locale="ko-KR")
    page.route("**/page/slider.js", lambda route: route.abort())
    page.goto(address)
    expect(page.locator("#lost")).to_contain_text("새로 고침")
