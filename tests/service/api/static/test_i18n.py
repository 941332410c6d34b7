import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

import service.api.page

FOLDER = Path(service.api.page.__file__).parent / "static"
CATALOGUES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
SOURCES = [(FOLDER / "index.html").read_text(encoding="utf-8"), *(p.read_text() for p in FOLDER.glob("*.js"))]


def test_the_catalogues_have_the_same_strings_and_values() -> None:
    assert set(CATALOGUES) == {"en", "ko"}
    english, korean = CATALOGUES["en"], CATALOGUES["ko"]
    assert list(english) == list(korean)
    names = {key: [set(re.findall(r"\{(\w+)\}", texts[key])) for texts in (english, korean)] for key in english}
    assert {key: pair for key, pair in names.items() if pair[0] != pair[1]} == {}


def test_every_string_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    spaces = "|".join({key.split(".")[0] for key in CATALOGUES["en"]})
    used = set(re.findall(rf'"((?:{spaces})\.[a-z_]+)"', "\n".join(SOURCES)))
    assert used == set(CATALOGUES["en"])


def test_korean_strings_are_korean() -> None:
    """A string that was copied untranslated has no Hangul."""
    foreign = [key for key, text in CATALOGUES["ko"].items() if not re.search("[가-힣]", text)]
    assert foreign == []


def test_the_html_has_no_words_of_its_own() -> None:
    html = re.sub(r"<(noscript|title|math|script)\b.*?</\1>|<!--.*?-->", "", SOURCES[0], flags=re.DOTALL)
    texts = {text.strip() for text in re.findall(r">([^<]+)<", html)} - {""}
    languages_formulas_and_names = {
        *("English", "한국어", "GAN serving", "API", "OpenAPI", "JSON", "PNG", "NPY", "JPEG", "WebP", "·"),
        *("D(G(z)) = 0.5", "0.01", "0.99", "log(1 \u2212 D(G(z)))", "\u2212log D(G(z))"),
    }
    assert {text for text in texts - languages_formulas_and_names if not text.isdigit()} == set()


@pytest.mark.parametrize(("locale", "heading"), [("ko-KR", "숫자 생성"), ("en-US", "Digits"), ("fr-FR", "Digits")])
def test_the_browsers_language_is_used(open_page: Callable[..., Page], address: str, locale: str, heading: str) -> None:
    page = open_page(locale=locale)
    page.goto(address)
    expect(page.locator("#digits-title")).to_have_text(heading)
    expect(page.locator("html")).to_have_attribute("lang", "ko" if locale == "ko-KR" else "en")


def test_a_language_that_cannot_be_loaded_is_told_and_the_last_one_asked_for_is_shown(page: Page, address: str) -> None:
    page.goto(f"{address}/?count=16")
    expect(page.locator("#grid button")).to_have_count(16)
    page.route("**/page/ko.json", lambda route: route.abort(), times=1)
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("#page-alert")).to_contain_text("did not respond")
    assert "lang" not in page.url
    held: list[Route] = []
    page.route("**/page/ko.json", lambda route: held.append(route))
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("body")).to_be_visible()
    page.get_by_role("button", name="English").click()
    expect(page).to_have_url(re.compile("lang=en"))
    held[0].continue_()
    page.wait_for_timeout(200)
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_a_switch_changes_all_that_is_shown_and_stays(page: Page, address: str) -> None:
    page.goto(f"{address}/?seed=3&count=16&chosen=4&example=foal")
    expect(page.locator("#cyclegan > .status")).to_contain_text("ready")
    page.get_by_role("button", name="한국어").click()
    expect(page.locator("#cyclegan > .status")).to_have_text("말 → 얼룩말 변환 결과를 되돌려 볼 수 있습니다.")
    expect(page.get_by_label("변환 방향").locator("option").first).to_have_text("말 → 얼룩말")
    expect(page.locator("#digits > .status")).to_have_text("숫자 16개, 첫 시드 3, 모델 mnist/1")
    expect(page.get_by_role("button", name="시드 4의 숫자")).to_have_attribute("aria-pressed", "true")
    page.reload()
    expect(page.locator("#digits-title")).to_have_text("숫자 생성")
