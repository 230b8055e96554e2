"""What is written: the same bytes for the same runs, every format sound, hostile text inert in each."""

from __future__ import annotations

import csv
import html.parser
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.records import Estimate, Evidence, TierScore, Tokens
from leaderboards.build import build
from leaderboards.detail import write_run_page
from leaderboards.runs import Unusable
from tests.leaderboards.folders import MakeRun, Texts, outcomes_of

HOSTILE = (
    "</script><script>pwn(1)</script><img src=x onerror=pwn(2)>|`x`[y](javascript:pwn(3))\x1b[31m\u202e\u2028\ud800"
)
TIERS = (
    TierScore(tier="easy", tasks=2, pass_at_1=Estimate(value=1.0, low=0.3, high=1.0), weak=False),
    TierScore(tier="hard <b>|", tasks=2, pass_at_1=Estimate(value=0.0, low=0.0, high=0.6), weak=True),
)
FILES = ["index.html", "leaderboard.csv", "leaderboard.json", "leaderboard.md", "leaderboard.tex", "results.json"]


class Elements(html.parser.HTMLParser):
    """Collects the elements, attributes and script texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Two ordinary models on two benchmarks, and one whose every text is hostile."""
    stated = {"parameters": "1.3B"}
    texts = Texts(tiers=TIERS, tokens=Tokens(prompt=100, completion=50))
    base = [[True], [True], [False], [True]]
    make_run("a/humaneval+", outcomes_of("1100"), texts, base, benchmark="humaneval+", model="org/a_1", runtime=stated)
    make_run("a/mbpp", outcomes_of("1101"), texts, benchmark="mbpp", model="org/a_1", runtime=stated)
    make_run("b", outcomes_of("1000"), benchmark="mbpp", model="=HYPERLINK(1)")
    evil = Texts(
        program=HOSTILE,
        task=HOSTILE + "{}",
        evidence=Evidence(reason=HOSTILE, call=HOSTILE, expected=HOSTILE, actual=HOSTILE, output=HOSTILE),
    )
    make_run(
        "c<script>",
        outcomes_of("01"),
        evil,
        model=HOSTILE,
        protocol=HOSTILE,
        runtime={HOSTILE: HOSTILE},
        benchmark=HOSTILE,
    )
    return tmp_path / "runs"


def read(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(out.iterdir())}


def test_the_same_runs_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "one", "Board")
    first = read(tmp_path / "one")
    assert list(first) == FILES
    build([runs / "b", runs], tmp_path / "one", "Board")
    assert read(tmp_path / "one") == first
    shutil.copytree(tmp_path, tmp_path.with_name(tmp_path.name + "-moved"))
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    build([moved / "runs"], moved / "one", "Board")
    assert read(moved / "one") == first  # links are relative, so that the place is not in the bytes


def test_nothing_is_written_when_a_run_is_not_sound(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out")
    before = read(tmp_path / "out")
    (runs / "b" / "samples.jsonl").write_text("{}\n")
    with pytest.raises(Unusable, match=r"samples\.jsonl"):
        build([runs], tmp_path / "out")
    assert read(tmp_path / "out") == before
    with pytest.raises(Unusable):
        build([runs], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_other_files_of_the_folder_are_left_alone(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    build([runs], tmp_path / "out")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == sorted([*FILES, "mine.txt"])


def test_a_folder_that_is_a_file_is_refused(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(Unusable, match="cannot write"):
        build([runs], tmp_path / "out")


def test_the_page_has_no_element_or_link_from_a_hostile_text(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out", HOSTILE)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    elements = Elements(page)
    assert elements.named("img") == []
    assert [dict(script).get("type") for script in elements.named("script")] == [
        None,
        "application/json",
        None,
        None,
        None,
    ]
    assert not any(name.startswith("on") for _, attributes in elements.found for name in attributes)
    links = {attributes["href"] for attributes in elements.named("a")}
    assert not any(re.match(r"\s*(javascript|data|vbscript):", link or "") for link in links)
    assert not any(char in page for char in "\x1b\u202e\u2028")


def test_the_page_loads_nothing_and_its_policy_names_each_part(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out")
    elements = Elements((tmp_path / "out" / "index.html").read_text(encoding="utf-8"))
    for tag, attributes in elements.found:
        for name in ("src", "srcset", "poster", "action", "ping"):
            assert name not in attributes, tag
    assert [link["href"] for link in elements.named("link")] == ["data:,"]
    policy = next(meta["content"] for meta in elements.named("meta") if "http-equiv" in meta) or ""
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert len(re.findall("sha256-", policy)) == len(elements.scripts) - 1 + 1  # not the data; and the style


def test_every_row_leads_to_its_report_and_says_how_to_check_it(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build([runs], out)
    page = (out / "index.html").read_text(encoding="utf-8")
    links = [one for one in Elements(page).named("a") if (one["href"] or "").endswith("report.json")]
    assert len(links) == 4
    from urllib.parse import unquote

    for link in links:
        assert (out / unquote(link["href"] or "")).is_file()
        assert "harness verify " in (link["title"] or "")
    assert "harness verify ../runs/a/mbpp" in (out / "leaderboard.md").read_text()
    assert "harness verify '../runs/c<script>'" in (out / "leaderboard.csv").read_text()


def test_markdown_tables_have_whole_rows(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out", HOSTILE)
    text = (tmp_path / "out" / "leaderboard.md").read_text(encoding="utf-8")
    assert "<" not in text
    assert "`" not in text
    assert "javascript:" not in text
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_csv_has_one_row_a_run_and_no_formula(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out")
    with (tmp_path / "out" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert {row["model"] for row in rows} >= {"org/a_1", "'=HYPERLINK(1)"}
    assert not any((value or "")[:1] in tuple("=+-@\t\r") for row in rows for value in row.values())
    (plus,) = [row for row in rows if row["benchmark"] == "humaneval+"]
    assert (plus["pass_1"], plus["base_pass_1"], plus["rank"], plus["tokens"]) == ("0.5", "0.75", "1", "150")
    assert plus["tiers"].startswith("easy 1.0000; hard <b>| 0.0000")


def test_latex_rows_have_as_many_cells_as_the_head(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out")
    text = (tmp_path / "out" / "leaderboard.tex").read_text(encoding="utf-8")
    tables = re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end", text, re.DOTALL)
    assert len(tables) == 3  # two boards, and what others reported
    for form, body in tables:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert {len(re.split(r"(?<!\\)&", row)) for row in rows} == {len(form)}
    assert "<script" not in text


def test_json_says_what_was_measured_and_what_was_reported(runs: Path, tmp_path: Path) -> None:
    built = build([runs], tmp_path / "out")
    document: dict[str, Any] = json.loads((tmp_path / "out" / "leaderboard.json").read_text())
    assert json.loads(built.document) == document
    kinds = {row["kind"] for board in document["boards"] for row in board["rows"]}
    assert kinds == {"measured"}
    assert {row["kind"] for row in document["reported"]} == {"reported"}
    (row,) = [row for board in document["boards"] for row in board["rows"] if row["model"] == "org/a_1"]
    run = row["runs"]["humaneval+"]
    assert run["pass_at_k"]["1"]["value"] == 0.5
    assert run["base_pass_at_k"]["1"]["value"] == 0.75
    assert run["tiers"][1] == {
        "tier": "hard <b>|",
        "tasks": 2,
        "pass_at_1": {"value": 0.0, "low": 0.0, "high": 0.6},
        "weak": True,
    }


def test_reported_rows_can_be_left_out(runs: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "out", published=False)
    assert json.loads((tmp_path / "out" / "leaderboard.json").read_text())["reported"] == []
    assert "Reported by others" not in (tmp_path / "out" / "index.html").read_text()
    assert "Reported" not in (tmp_path / "out" / "leaderboard.md").read_text()


def test_evalplus_rows_have_its_format(make_run: MakeRun, tmp_path: Path) -> None:
    base = [[True], [True], [True], [False]]
    make_run("a", outcomes_of("1100"), Texts(), base, benchmark="humaneval+", model="m", runtime={"parameters": "6.7B"})
    make_run("b", outcomes_of("1000"), Texts(), base, benchmark="mbpp+", model="m", runtime={"parameters": "6.7B"})
    make_run("c", outcomes_of("1111"), benchmark="mbpp", model="m", runtime={"parameters": "6.7B"})
    make_run("d", outcomes_of("1110"), benchmark="humaneval", model="chatty", protocol="evalplus-chat")
    make_run("e", outcomes_of("11"), benchmark="ladder", model="other")
    build([tmp_path / "runs"], tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert rows == {
        "m": {
            "link": "../runs/a/report.json",
            "open-data": "NONE",
            "pass@1": {"humaneval": 75.0, "humaneval+": 50.0, "mbpp": 75.0, "mbpp+": 25.0},
            "prompted": False,
            "size": 6.7,
        },
        "chatty": {
            "link": "../runs/d/report.json",
            "open-data": "NONE",
            "pass@1": {"humaneval": 75.0, "humaneval+": None, "mbpp": None, "mbpp+": None},
            "prompted": True,
            "size": None,
        },
    }


def data_of(page: Path) -> dict[str, Any]:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def test_the_page_of_a_run_has_its_failure_cards(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", outcomes_of("1001"))
    write_run_page(run, tmp_path / "pages" / "run.html")
    detail = data_of(tmp_path / "pages" / "run.html")["run"]
    assert [(card["task"], card["call"], card["expected"], card["actual"]) for card in detail["cards"]] == [
        ("HumanEval/1", "f(3)", "9", "6"),
        ("HumanEval/2", "f(3)", "9", "6"),
    ]
    assert detail["cards"][0]["program"] == "def f(x):\n    return 2 * x"
    assert detail["report"] == "../runs/run/report.json"
    assert detail["failing"] == 2


def test_counts_that_a_reader_should_know_of_stand_beside_the_score(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", outcomes_of("1001"))
    report = json.loads((run / "report.json").read_text())
    loss = {"samples": 2, "by_rule": {"sanitize</script>": 2, "prompted": 0}}
    report |= {"flaky": 1, "hardcoded": 1, "extraction_loss": loss, "caveats": ["asked | otherwise"]}
    (run / "report.json").write_text(json.dumps(report))
    verdicts = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    verdicts[0] |= {"flaky": True, "hardcoded": True}
    (run / "verdicts.jsonl").write_text("".join(json.dumps(one) + "\n" for one in verdicts))
    build([run], tmp_path / "out")
    facts = dict(data_of(tmp_path / "out" / "index.html")["runs"][0]["facts"])
    assert facts["Flaky"] == "1 of 4 samples came out differently when judged alone"
    assert facts["Hardcoded"].startswith("1 of 4 samples")
    assert facts["Extraction loss"] == "2 of 4 samples would pass by another rule (sanitize</script> 2)"
    assert facts["Mind"] == "asked | otherwise"
    assert "2 of 4 samples would pass by another rule" in (tmp_path / "out" / "leaderboard.md").read_text()
    with (tmp_path / "out" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["flaky"], row["hardcoded"], row["extraction_loss"]) == ("1", "1", "2")
    plain = make_run("plain", outcomes_of("1001"))
    build([plain], tmp_path / "other")
    assert (
        not {"Flaky", "Hardcoded", "Extraction loss"}
        & dict(data_of(tmp_path / "other" / "index.html")["runs"][0]["facts"]).keys()
    )


def test_the_page_of_a_run_can_hold_fewer_cards_or_one_task(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", outcomes_of("1001"))
    page = tmp_path / "run.html"
    write_run_page(run, page, failing=1)
    assert [card["task"] for card in data_of(page)["run"]["cards"]] == ["HumanEval/1"]
    write_run_page(run, page, task="HumanEval/3")
    assert [card["outcome"] for card in data_of(page)["run"]["cards"]] == ["passed"]
    with pytest.raises(Unusable, match="no sample"):
        write_run_page(run, page, task="HumanEval/9")


def test_long_texts_are_cut(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("run", outcomes_of("01"), Texts(program="x = 1\n" * 100_000, evidence=Evidence(actual="9" * 2000)))
    build([tmp_path / "runs"], tmp_path / "out", published=False)
    assert (tmp_path / "out" / "index.html").stat().st_size < 100_000


def test_a_verdict_without_its_sample_is_refused(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("run", outcomes_of("01"))
    lines = (run / "samples.jsonl").read_text().splitlines()
    (run / "samples.jsonl").write_text(lines[1] + "\n")
    with pytest.raises(Unusable, match=r"no sample HumanEval/0 \[0\]"):
        build([run], tmp_path / "out")
