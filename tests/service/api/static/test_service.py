from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect


def test_the_models_and_their_load_are_shown_live(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=1")
    card = page.locator(".model").filter(has=page.get_by_role("heading", name="mnist/1"))
    card.scroll_into_view_if_needed()
    expect(card).to_contain_text("CPU")
    expect(card).to_contain_text("Learnt from 1,234 digits, repeats counted")
    batches = card.locator(".live dd").nth(1)
    expect(batches).not_to_have_text("\u2013")
    before = int(batches.inner_text())
    page.get_by_role("button", name="Draw digits").click()
    card.scroll_into_view_if_needed()
    expect(batches).not_to_have_text(str(before))
    assert float(card.locator(".live dd").nth(2).inner_text()) > 1  # digits in a batch


def test_a_model_that_was_not_used_has_no_times(page: Page, start: Callable[..., tuple[str, object]]) -> None:
    address, _ = start()
    page.goto(address)
    card = page.locator(".model").filter(has=page.get_by_role("heading", name="zebra2horse/1"))
    card.scroll_into_view_if_needed()
    expect(card.locator(".live dd")).to_have_text(["0", "0", "\u2013", "\u2013", "\u2013"])


def test_without_metrics_on_this_port_nothing_asks_for_them(
    page: Page, start: Callable[..., tuple[str, object]]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    address, _ = start("--management-port", "0")
    page.goto(address)
    page.locator("#service").scroll_into_view_if_needed()
    expect(page.locator(".model")).to_have_count(4)
    expect(page.locator("#live")).to_be_hidden()
    expect(page.get_by_role("link", name="Metrics")).to_have_count(0)
    page.wait_for_timeout(500)
    assert not any(url.endswith("/metrics") for url in asked)


def test_lost_metrics_are_told(page: Page, address: str) -> None:
    page.route("**/metrics", lambda route: route.fulfill(status=502, body="<p>gone", content_type="text/html"))
    page.goto(address)
    page.locator("#service").scroll_into_view_if_needed()
    expect(page.locator("#service > .alert")).to_contain_text("such as a proxy")


def test_why_models_run_on_the_cpu_is_told_once(page: Page, start: Callable[..., tuple[str, object]]) -> None:
    address, _ = start("--device", "auto")
    reasons = {model["fallback_reason"] for model in httpx.get(f"{address}/models").json()["models"]} - {None}
    page.goto(address)
    expect(page.locator("#models article")).not_to_have_count(0)
    for reason in reasons:
        expect(page.get_by_text(reason)).to_have_count(1)
    if not reasons:
        expect(page.locator("#fallback")).to_be_empty()
