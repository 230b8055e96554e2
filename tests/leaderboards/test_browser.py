"""The pages in a real browser: what they do, that hostile text stays text, and that nothing leaves the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from harness.records import Estimate, Evidence, TierScore
from leaderboards.build import build
from leaderboards.detail import write_run_page
from tests.leaderboards.folders import LargeBoard, MakeRun, Texts, outcomes_of, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "</script><script>pwned=1</script><img src=x onerror=pwned=2><svg onload=pwned=3>|\x1b[31m\u202e\u2028`"
FIRST_PAINT_SECONDS = 1.0
PHONE = {"width": 390, "height": 844}


@dataclass
class Watch:
    """What a page did beside showing itself."""

    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser(require: Callable[[object, str], None]) -> Iterator[Browser]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    require(find_spec("playwright") and find_spec("axe_playwright_python"), "playwright and axe-playwright-python")
    require(chromium, "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., tuple[Page, Watch]]]:
    """Return a function that opens a file and waits until its scripts are done."""
    contexts = []

    def open_it(path: Path, **settings: Any) -> tuple[Page, Watch]:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        page, watch = context.new_page(), Watch()
        page.on("console", lambda message: watch.messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: watch.messages.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (watch.messages.append("dialog"), dialog.dismiss()))
        page.on("request", lambda request: watch.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page, watch

    yield open_it
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of five models on two benchmarks, a second protocol, and a hostile run."""
    top = tmp_path_factory.mktemp("board")
    tiers = (
        TierScore(tier="easy", tasks=20, pass_at_1=Estimate(value=0.9, low=0.7, high=1.0), weak=False),
        TierScore(tier="hard", tasks=20, pass_at_1=Estimate(value=0.2, low=0.1, high=0.4), weak=True),
    )
    for number, passed in enumerate((38, 36, 20, 12, 4)):
        model, stated = f"org/model-{number}", {"parameters": f"{number + 1}B"} if number else {}
        bits = "1" * passed + "0" * (40 - passed)
        plus = [[bit == "1" or place % 2 == 0] for place, bit in enumerate(bits)]
        settings = {"model": model, "runtime": stated}
        write_run(top / "runs" / model / "he", outcomes_of(bits), Texts(tiers=tiers), benchmark="humaneval", **settings)
        write_run(top / "runs" / model / "plus", outcomes_of(bits), Texts(), plus, benchmark="humaneval+", **settings)
    write_run(top / "runs" / "sampled", [outcomes_of("1100")[0] * 12] * 40, model="org/sampled", temperature=0.8)
    evil = Texts(
        program=HOSTILE,
        task=HOSTILE + "{}",
        evidence=Evidence(reason=HOSTILE, call=HOSTILE, expected=HOSTILE, actual=HOSTILE, output=HOSTILE),
    )
    write_run(top / "runs" / "evil", outcomes_of("0" * 40), evil, model=HOSTILE, benchmark="zzz")
    build([top / "runs"], top / "out", "Board " + HOSTILE)
    return top / "out" / "index.html"


def names(page: Page, section: str = "#board-1") -> list[str]:
    return page.locator(f"{section} tbody .name").all_inner_texts()


def wait_for_count(page: Page, text: str) -> None:
    from playwright.sync_api import expect

    expect(page.locator("#count")).to_have_text(text, timeout=2000)


@pytest.mark.slow
def test_a_click_on_a_head_sorts(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, _ = open_page(board)
    assert names(page)[0] == "org/model-0"
    head = page.locator("#board-1 th", has_text="humaneval+").first
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[:5] == [f"org/model-{number}" for number in range(5)]
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page)[:5] == [f"org/model-{number}" for number in reversed(range(5))]
    assert len(names(page)) == 6  # the run without a score there comes last both ways
    page.locator("#board-1 th", has_text="Params").get_by_role("button").click()
    assert names(page)[:4] == [f"org/model-{number}" for number in range(1, 5)]
    assert head.get_attribute("aria-sort") is None


@pytest.mark.slow
def test_the_search_box_leaves_the_rows_with_all_words(
    open_page: Callable[..., tuple[Page, Watch]], board: Path
) -> None:
    page, _ = open_page(board)
    page.get_by_label("Search").fill("MODEL org -3")
    wait_for_count(page, "1 of 7 rows")
    assert names(page) == ["org/model-3"]
    assert page.locator("#board-2 .none").is_visible()
    page.get_by_label("Search").fill("CodeLlama")
    wait_for_count(page, "0 of 7 rows")
    assert page.locator("#reported tbody tr").count() >= 5
    page.get_by_label("Search").fill("")
    wait_for_count(page, "7 rows")
    assert len(names(page)) == 6


def test_filters_narrow_rows_columns_and_protocols(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, _ = open_page(board)
    page.get_by_role("search").get_by_label("Parameters").select_option("2B to 8B")
    assert names(page) == ["org/model-2", "org/model-3", "org/model-4"]
    assert page.locator(".dot.off").count() > 0
    page.get_by_role("search").get_by_label("Parameters").select_option("not stated")
    assert names(page)[0] == "org/model-0"
    page.get_by_role("search").get_by_label("Parameters").select_option("Any")
    page.get_by_role("search").get_by_label("Benchmark").select_option("humaneval+")
    heads = page.locator("#board-1 thead th:visible").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["Model", "Params", "humaneval+", "humaneval+", "seconds"]
    page.get_by_role("search").get_by_label("Protocol").select_option(index=2)
    assert page.locator("#board-1").is_hidden()
    assert page.locator("#board-2").is_visible()


def test_a_row_leads_to_its_tasks_and_failure_cards(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, _ = open_page(board)
    page.get_by_role("button", name="org/model-2").click()
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == "org/model-2"
    assert dialog.locator(".tasks li").count() == 40
    assert dialog.locator(".tasks .o-failed").count() == 20
    assert "hard" in dialog.locator(".tiers").inner_text()
    card = dialog.locator(".card").first
    assert card.locator("summary").inner_text().split("\n")[0].startswith("HumanEval/20 [0]")
    assert [text.strip() for text in card.locator("pre").all_inner_texts()] == [
        "f(3)",
        "9",
        "6",
        "def f(x):\n    return 2 * x",
    ]
    assert "harness verify " in dialog.locator(".command").inner_text()
    dialog.locator(".tasks a").nth(4).click()
    assert dialog.locator(".card").nth(4).get_attribute("open") is not None
    dialog.get_by_role("button", name="humaneval+").click()
    assert "base tests" in dialog.locator(".scores").first.inner_text()
    assert page.url.endswith("#board-1-row-2")
    dialog.get_by_role("button", name="Close").click()
    assert dialog.is_hidden()
    assert "#" not in page.url


def test_an_address_opens_its_row(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, _ = open_page(board)
    page.goto(board.as_uri() + "#board-1-row-1")
    page.reload()
    page.wait_for_selector("dialog[open]")
    assert page.locator("#detail-title").inner_text() == "org/model-1"
    page.goto(board.as_uri() + "#__proto__")
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.locator("dialog[open]").count() == 0


def test_hostile_text_stays_text(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, watch = open_page(board)
    page.locator(".name", has_text="pwned").click()
    assert "<img src=x onerror=pwned=2>" in page.locator("#detail-title").inner_text()
    assert "<svg onload" in page.locator("#detail-body .card pre").first.inner_text()
    page.locator("#detail-close").click()
    page.get_by_label("Search").fill("img src")
    wait_for_count(page, "1 of 7 rows")
    page.locator("#board-1 thead button").first.click()
    assert page.evaluate("typeof pwned") == "undefined"
    assert page.locator("img").count() == 0
    assert watch.messages == []


@pytest.mark.slow
def test_nothing_is_asked_of_the_network_and_nothing_is_wrong(
    open_page: Callable[..., tuple[Page, Watch]], board: Path
) -> None:
    page, watch = open_page(board)
    for button in page.locator("thead button").all():
        button.click()
    page.locator("#board-1 .name").first.click()
    page.keyboard.press("Escape")
    for select in page.locator("select[data-charts]").all():
        select.select_option(index=1)
    page.get_by_role("button", name="Dark mode").click()
    assert [url for url in watch.requests if not url.startswith("data:")] == [board.as_uri()]
    assert watch.messages == []


def test_the_policy_stops_what_would_leave_the_page(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, watch = open_page(board)
    stopped = page.evaluate("fetch('https://example.org/').then(() => false, () => true)")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=https://example.org/x onerror=pwned=4>')")
    page.wait_for_timeout(200)
    assert stopped
    assert page.evaluate("typeof pwned") == "undefined"
    assert any("Content Security Policy" in message for message in watch.messages)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, PHONE])
def test_axe_finds_nothing(
    open_page: Callable[..., tuple[Page, Watch]], board: Path, scheme: str, size: dict[str, int]
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page, _ = open_page(board, color_scheme=scheme, viewport=size)
    assert [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]] == []
    page.locator("#board-1 .name").first.click()
    assert [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]] == []


def test_the_theme_follows_the_system_until_it_is_chosen(
    open_page: Callable[..., tuple[Page, Watch]], board: Path
) -> None:
    page, _ = open_page(board, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    button = page.get_by_role("button", name="Dark mode")
    dark = page.evaluate(background)
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    light = page.evaluate(background)
    assert light != dark
    assert button.get_attribute("aria-pressed") == "false"
    page.reload()
    assert page.evaluate(background) == light


@pytest.mark.slow
def test_the_keyboard_is_enough(open_page: Callable[..., tuple[Page, Watch]], board: Path) -> None:
    page, _ = open_page(board)
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
    assert reached[:5] == ["theme", "search", "benchmark", "board", "size"]
    page.locator("#board-1 thead button").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator("#board-1 thead th").nth(2).get_attribute("aria-sort") == "descending"
    page.locator("#board-1 .name").nth(3).focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    inside = "document.querySelector('dialog').contains(document.activeElement)"
    for _ in range(8):
        assert page.evaluate(inside) or page.evaluate("document.activeElement === document.body")
        page.keyboard.press("Tab")
    summary = page.locator("dialog .card summary").nth(1)
    summary.focus()
    page.keyboard.press("Enter")
    assert page.locator("dialog .card").nth(1).get_attribute("open") is not None
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert page.evaluate("document.activeElement.className") == "name"


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 390, 768])
def test_a_phone_scrolls_tables_and_not_the_page(
    open_page: Callable[..., tuple[Page, Watch]], board: Path, width: int
) -> None:
    page, _ = open_page(board, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#board-1 .name").first.click()
    assert page.evaluate(
        "document.querySelector('#detail-body').scrollWidth <= document.querySelector('#detail-body').clientWidth"
    )


@pytest.mark.slow
def test_the_page_of_a_run(open_page: Callable[..., tuple[Page, Watch]], make_run: MakeRun, tmp_path: Path) -> None:
    from axe_playwright_python.sync_playwright import Axe

    evil = Texts(program=HOSTILE, evidence=Evidence(reason=HOSTILE, call=HOSTILE, expected=HOSTILE, actual=HOSTILE))
    write_run_page(make_run("run", outcomes_of("1001" * 10), evil), tmp_path / "run.html")
    page, watch = open_page(tmp_path / "run.html")
    assert page.locator(".card").count() == 20
    assert "<svg onload" in page.locator(".card pre").first.inner_text()
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("typeof pwned") == "undefined"
    assert watch.messages == []
    assert len([url for url in watch.requests if not url.startswith("data:")]) == 1


@pytest.mark.alone
@pytest.mark.slow
def test_500_rows_are_painted_within_a_second_and_stay_quick(
    open_page: Callable[..., tuple[Page, Watch]], large_board: LargeBoard
) -> None:
    seconds = []
    for _ in range(3):
        page, watch = open_page(large_board.out / "index.html")
        assert page.locator("#board-1 tbody tr").count() == 500
        paints = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        seconds.append(page.evaluate(paints) / 1000)
        assert watch.messages == []
    assert median(seconds) < FIRST_PAINT_SECONDS
    sorting = """() => {
        const start = performance.now();
        document.querySelectorAll('#board-1 thead button')[2].click();
        document.body.offsetHeight;
        return (performance.now() - start) / 1000;
    }"""
    assert page.evaluate(sorting) < 1.0
    page.get_by_label("Search").fill("model-123")
    wait_for_count(page, "1 of 500 rows")
    page.locator("#board-1 .name").first.click()
    assert page.locator("dialog .card").count() == 1
