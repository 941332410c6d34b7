from playwright.sync_api import Page, expect


def test_the_slopes_follow_the_slider(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#slope-minimax")).to_have_text("gradient 0.05")
    expect(page.locator("#slope-substitute")).to_have_text("gradient 0.95")
    page.locator("#verdict").fill("0.8")
    expect(page.locator("#slope-minimax")).to_have_text("gradient 0.80")
    expect(page.locator("#slope-substitute")).to_have_text("gradient 0.20")
    assert page.locator("#dot-minimax").get_attribute("cx") == "250"
