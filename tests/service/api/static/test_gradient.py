import math

import pytest
from playwright.sync_api import Page, expect


def test_the_slopes_follow_the_slider(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#slope-minimax")).to_have_text("gradient 0.05")
    expect(page.locator("#slope-substitute")).to_have_text("gradient 0.95")
    page.locator("#verdict").fill("0.8")
    expect(page.locator("#slope-minimax")).to_have_text("gradient 0.80")
    expect(page.locator("#slope-substitute")).to_have_text("gradient 0.20")
    logit = math.log(0.8 / 0.2)
    assert float(page.locator("#dot-minimax").get_attribute("cx") or "") == pytest.approx(160 + 150 * logit / 4.6)


@pytest.mark.parametrize("curve", ["minimax", "substitute"])
def test_the_plot_is_as_steep_as_the_slopes_say(page: Page, address: str, curve: str) -> None:
    page.goto(address)
    page.locator("#verdict").fill("0.1")
    expect(page.locator(f"#slope-{curve}")).to_have_text("gradient 0.10" if curve == "minimax" else "gradient 0.90")
    place = "dot => [Number(dot.getAttribute('cx')) / 150, Number(dot.getAttribute('cy')) / 70]"
    x, y = page.locator(f"#dot-{curve}").evaluate(place)
    page.locator("#verdict").fill("0.11")
    next_x, next_y = page.locator(f"#dot-{curve}").evaluate(place)
    assert (next_y - y) / (next_x - x) == pytest.approx(0.105 if curve == "minimax" else 0.895, abs=0.002)
