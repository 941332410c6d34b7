"""Takes the screenshots of docs/start/page.md, in the system's Chromium.

Start the service (make serve), then run .venv/bin/python -m tools.screenshots
"""

import argparse
import io
import shutil
import sys
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright

from tools.readme_images import ROOT

OUT = ROOT / "docs" / "images"
STATE = "?seed=0&count=64&chosen=5,15&example=foal"
DESKTOP = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 375, "height": 760}, "device_scale_factor": 1.5, "has_touch": True, "is_mobile": True}
SHOTS: dict[str, tuple[str, dict[str, Any]]] = {
    "page-light": ("#digits", {**DESKTOP, "color_scheme": "light"}),
    "page-dark": ("#translation", {"viewport": {"width": 1200, "height": 1150}, "color_scheme": "dark"}),
    "page-korean": ("#gan", {**DESKTOP, "color_scheme": "light", "locale": "ko-KR"}),
    "page-phone": ("#translation", {**PHONE, "color_scheme": "light", "locale": "ko-KR"}),
    "page-service": ("#service", {**DESKTOP, "color_scheme": "light"}),
}
"""File name: the part at the top of the window, and how the browser shows it."""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 60_000


def shoot(browser: Browser, service: str, part: str, options: dict[str, Any]) -> Image.Image:
    """Opens the page, translates there and back, and returns the window with one part of the page at its top."""
    context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{service}/{STATE}")
    page.locator("#cycle-run:enabled").click()
    expect(page.locator("#cycle-images")).to_be_visible(timeout=PATIENCE_MS)
    page.locator(part).evaluate("part => part.scrollIntoView()")
    page.wait_for_timeout(3000)  # two rounds of metrics
    image = Image.open(io.BytesIO(page.screenshot()))
    image.load()
    context.close()
    return image


def main() -> None:
    """Reads the command line, and takes the screenshots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", default="http://127.0.0.1:8000", help="address of the running service")
    service = parser.parse_args().service
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, (part, options) in SHOTS.items():
            path = OUT / f"{name}.webp"
            shoot(browser, service, part, options).save(path, quality=65, method=6)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
