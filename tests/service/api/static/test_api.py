"""Each kind of error, as the page tells it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

Start = Callable[..., tuple[str, "subprocess.Popen[str]"]]


def drawn(page: Page) -> None:
    expect(page.locator("#grid button").first).to_be_visible()


def test_a_problem_is_told_in_words_with_the_services_explanation(page: Page, address: str) -> None:
    page.goto(f"{address}/?count=2000&seed=1")
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
    expect(page.locator("#page-alert")).to_contain_text("the key is not valid")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    drawn(page)
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


def test_a_rate_limit_says_when_to_try_again(page: Page, start: Start) -> None:
    address, _ = start("--rate-limit", "100/minute")
    page.goto(address)
    drawn(page)
    page.get_by_role("button", name="Draw digits").click()
    expect(page.locator("#digits > .alert")).to_contain_text("takes your next request in")
    page.get_by_label("How many").select_option("256")
    expect(page.locator("#digits > .alert")).to_contain_text("more images than your limit allows")


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
