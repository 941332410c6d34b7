"""The page for everybody: axe-core finds nothing, the keyboard alone is enough, and 375 pixels are wide enough."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

PHONE = {"width": 375, "height": 700}


def show_everything(page: Page, address: str) -> None:
    """Digits, a chosen one, a translation, a cycle, the service's load, and an error."""
    page.goto(f"{address}/?seed=3&count=16&chosen=4,5&example=foal")  # without the test's stub, the strip may fail
    expect(page.locator("#cycle-run")).to_be_enabled()
    page.locator("#cycle-run").click()
    expect(page.locator("#cycle-images")).to_be_visible()
    page.locator("#service").scroll_into_view_if_needed()
    expect(page.locator(".live dd").first).not_to_have_text("\u2013")


def findings(page: Page) -> list[str]:
    response = Axe().run(page, options={"rules": {"target-size": {"enabled": True}}}).response
    nodes = [(found["id"], node) for found in response["violations"] for node in found["nodes"]]
    return [f"{name}: {node['html'][:120]} {node['failureSummary']}" for name, node in nodes]


@pytest.mark.parametrize(
    "options", [{}, {"locale": "ko-KR", "viewport": PHONE, "has_touch": True}], ids=["desktop", "korean phone"]
)
def test_axe_finds_nothing(open_page: Callable[..., Page], address: str, options: dict[str, object]) -> None:
    page = open_page(**options)
    show_everything(page, address)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert (scheme, findings(page)) == (scheme, [])
    page.locator("#digits-form input[name=seed]").fill("wrong")
    page.locator("#digits-form input[name=seed]").press("Enter")
    expect(page.locator("#digits > .alert p")).to_be_visible()
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        assert (scheme, findings(page)) == (scheme, [])


@pytest.mark.parametrize("locale", ["en-GB", "ko-KR"])
def test_nothing_is_wider_than_a_telephone(open_page: Callable[..., Page], address: str, locale: str) -> None:
    page = open_page(viewport=PHONE, locale=locale)
    show_everything(page, address)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    page.locator("#digits-form select[name=count]").select_option("256")
    expect(page.locator("#grid button")).to_have_count(256)
    wide = """() => [...document.querySelectorAll("html, #grid, .lesson, .losses > div")]
      .filter(part => part.scrollWidth > part.clientWidth).map(part => part.outerHTML.slice(0, 80))"""
    assert page.evaluate(wide) == []
    page.locator("#grid button").first.focus()
    page.keyboard.press("ArrowDown")
    first, below = (page.locator(f"#grid button{which}").bounding_box() for which in (" >> nth=0", ":focus"))
    assert first
    assert below
    assert (first["x"], first["y"] < below["y"]) == (below["x"], True)
    page.set_viewport_size({"width": 320, "height": 700})
    assert page.evaluate(wide) == []


def test_a_telephone_shows_what_became_of_an_example(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(viewport=PHONE, has_touch=True)
    page.goto(f"{address}/?count=16")
    page.locator("[data-example=black]").tap()
    expect(page.locator("#translation > .status")).to_contain_text("Translated in")
    expect(page.locator("#compare")).to_be_in_viewport(ratio=0.9)
    page.locator("#cycle-run").click()
    expect(page.locator("#cycle-images")).to_be_visible()
    edges = [
        page.locator(f"#cycle-{name}").evaluate("i => i.getBoundingClientRect().left") for name in ("x", "y", "back")
    ]
    assert len(set(edges)) == 1


def test_every_control_is_large_enough_to_hit(open_page: Callable[..., Page], address: str) -> None:
    page = open_page(viewport=PHONE)
    show_everything(page, address)
    small = page.locator("a:visible, button:visible, select:visible, input:visible, summary:visible").evaluate_all(
        """controls => controls.filter(control => !control.matches(".unseen, .skip"))
          .filter(control => { const box = control.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
          .map(control => control.outerHTML)"""
    )
    assert small == []


def test_the_page_has_landmarks_and_live_regions(page: Page, address: str) -> None:
    page.goto(address)
    for role in ("banner", "navigation", "main", "contentinfo"):
        expect(page.get_by_role(role)).to_have_count(1)  # type: ignore[arg-type]
    for part in ("#digits", "#translation", "#cyclegan"):
        expect(page.locator(f"{part} > [role=status]")).to_have_count(1)
        expect(page.locator(f"{part} > [role=alert]")).to_have_count(1)


def tab_to(page: Page, selector: str) -> None:
    """Presses the Tab key until a control has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"the Tab key does not reach {selector}")


def test_the_keyboard_alone_draws_chooses_and_translates_in_korean(
    open_page: Callable[..., Page], address: str
) -> None:
    page = open_page(viewport=PHONE, locale="ko-KR")
    page.goto(f"{address}/?count=16")
    expect(page.locator("#grid button")).to_have_count(16)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="본문으로 건너뛰기")).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, "#digits-form input[name=seed]")
    page.keyboard.type("42")
    page.keyboard.press("Enter")
    expect(page.locator("#digits > .status")).to_contain_text("첫 시드 42")
    tab_to(page, "#grid button")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("시드 43", exact=True)).to_be_visible()
    tab_to(page, "[data-example=black]")
    page.keyboard.press("Enter")
    expect(page.locator("#translation > .status")).to_contain_text("변환했습니다")
    tab_to(page, "#compare input")
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#compare input")).to_have_value("49")
    tab_to(page, "#cycle-run")
    page.keyboard.press("Enter")
    expect(page.locator("#cyclegan > .status")).to_contain_text("한 바퀴 돌아온 뒤")
    outlines = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outlines == "solid"


def test_the_file_chooser_opens_by_keyboard(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.locator("#grid button").first).to_be_visible()
    page.locator("input[name=file]").focus()
    with page.expect_file_chooser():
        page.keyboard.press("Space")


def test_less_motion_is_respected(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("#digits").evaluate("part => part.setAttribute('aria-busy', 'true')")
    style = "getComputedStyle(document.querySelector('#digits > .status'), '::before').animationName"
    assert page.evaluate(style) == "none"
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(style) == "turn"
