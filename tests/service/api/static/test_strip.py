from playwright.sync_api import Page, expect


def choose(page: Page, *seeds: int) -> None:
    for seed in seeds:
        page.get_by_role("button", name=f"Digit of seed {seed}", exact=True).click()


def test_two_chosen_digits_make_a_strip(page: Page, address: str, interpolation: list[str]) -> None:
    page.goto(f"{address}/?seed=0&count=16")
    choose(page, 2, 9)
    expect(page.locator("#strip .status").first).to_contain_text("seed 2 to seed 9")
    assert interpolation[-1].endswith("/mnist/interpolate?from=2&to=9&steps=25&format=json")
    choose(page, 4)  # of three, the last two remain
    expect(page.locator("#strip .status").first).to_contain_text("seed 9 to seed 4")
    page.reload()
    expect(page.locator("#strip .status").first).to_contain_text("seed 9 to seed 4")
    choose(page, 4)
    expect(page.locator("#strip")).to_be_hidden()


def test_the_strip_plays_unless_less_motion_is_wanted(page: Page, address: str, interpolation: list[str]) -> None:
    page.goto(f"{address}/?seed=0&count=16&chosen=1,2")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator("#frame")).to_have_attribute("alt", "Step 1 of 25")
    page.emulate_media(reduced_motion="no-preference")
    choose(page, 5)
    steps = page.locator("#frame").evaluate(
        """frame => new Promise(resolve => {
          const steps = [];
          new MutationObserver(() => {
            steps.push(Number(frame.alt.split(" ")[1]));
            if (steps.at(-1) === 23 && steps.includes(25)) resolve(steps);
          }).observe(frame, {attributeFilter: ["alt"]});
        })"""
    )
    assert steps[-4:] == [24, 25, 24, 23]
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("slider", name="Step").fill("3")
    expect(page.locator("#frame")).to_have_attribute("alt", "Step 4 of 25")


def test_the_strip_is_of_the_chosen_digit_and_can_be_saved(page: Page, address: str, interpolation: list[str]) -> None:
    page.goto(f"{address}/?seed=0&count=16&digit=3&chosen=1,2")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the strip").click()
    assert download.value.suggested_filename == "digits-1-to-2.png"
    assert interpolation[-1].endswith("from=1&to=2&steps=25&digit=3&format=png")


def test_a_strip_that_fails_leaves_no_older_one(page: Page, address: str, interpolation: list[str]) -> None:
    page.goto(f"{address}/?seed=0&count=16&chosen=1,2")
    expect(page.locator("#frame")).to_be_visible()
    page.route("**/mnist/interpolate?*", lambda route: route.abort())
    choose(page, 5)
    expect(page.locator("#strip .alert")).to_contain_text("did not respond")
    expect(page.locator("#frame")).to_be_hidden()
