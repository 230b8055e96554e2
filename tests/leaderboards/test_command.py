"""`harness leaderboard` and `harness show --html`, as typed."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli import main
from tests.leaderboards.folders import MakeRun, outcomes_of

ROOT = Path(__file__).resolve().parents[2]
RUN = "from harness.cli import run; run()"


def harness(*arguments: str | Path) -> tuple[int, str, str]:
    ran = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return ran.exit_code, ran.stdout, ran.stderr


def test_the_command_and_the_page_are_registered() -> None:
    assert [point.value for point in entry_points(group="harness.commands", name="leaderboard")][:1] == [
        "leaderboards.command:leaderboard"
    ]
    pages = {point.name: point.value for point in entry_points(group="harness.pages")}
    assert pages == {
        "run": "leaderboards.detail:write_run_page",
        "leaderboard": "leaderboards.build:write_board",
        "curve": "leaderboards.curves:write_curve",
    }


def test_files_are_named_on_standard_output(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", outcomes_of("10"))
    code, out, err = harness("leaderboard", run, "--out", tmp_path / "out", "--title", "Mine")
    assert (code, err) == (0, "")
    assert [Path(line).name for line in out.split()] == [
        "leaderboard.json",
        "leaderboard.md",
        "leaderboard.csv",
        "leaderboard.tex",
        "results.json",
        "index.html",
    ]
    assert all(Path(line).is_file() for line in out.split())
    assert "<title>Mine</title>" in (tmp_path / "out" / "index.html").read_text()


def test_json_is_one_document_and_what_is_left_out_is_said(make_run: MakeRun, tmp_path: Path) -> None:
    make_run("a", outcomes_of("10"))
    (make_run("b", outcomes_of("10")) / "report.json").unlink()
    code, out, err = harness("leaderboard", tmp_path / "runs", "--out", tmp_path / "out", "--json", "--no-published")
    assert code == 0
    assert json.loads(out)["reported"] == []
    assert err.startswith("left out, not finished: ")


@pytest.mark.parametrize("damage", ["run.json", "report.json", "verdicts.jsonl", "samples.jsonl"])
def test_a_hostile_run_is_one_message_and_exit_code_2(make_run: MakeRun, tmp_path: Path, damage: str) -> None:
    run = make_run("a", outcomes_of("10"))
    (run / damage).write_bytes(b'{"model":"\x1b[31m' + b"[" * 50_000)
    ran = subprocess.run(
        [sys.executable, "-c", RUN, "leaderboard", str(run), "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "\x1b" not in ran.stderr
    assert damage in ran.stderr
    assert ran.stdout == ""
    assert not (tmp_path / "out").exists()


def test_show_writes_a_page(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", outcomes_of("10"))
    code, out, _ = harness("show", run, "--html", tmp_path / "run.html")
    assert (code, out.strip()) == (0, str(tmp_path / "run.html"))
    assert "HumanEval/1" in (tmp_path / "run.html").read_text()


def test_show_refuses_a_page_and_json_at_once(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", outcomes_of("10"))
    assert harness("show", run, "--html", tmp_path / "run.html", "--json")[0] == 2
    assert not (tmp_path / "run.html").exists()
