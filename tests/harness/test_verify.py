"""`harness verify`: a run that adds up passes, a forged one does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from harness.cli import main
from harness.errors import UsageError
from harness.verify import verify

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
Lines = list[dict[str, Any]]


def harness(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Path:
    """A run of which some samples pass and some do not."""
    from sandbox import examine

    require(any(one.ok for one in examine() if one.name in ("docker", "local")), "a sandbox that works")
    folder = tmp_path_factory.mktemp("verify")
    shutil.copy(EXAMPLES / "own_tasks.jsonl", folder / "own.jsonl")
    lines = [json.loads(line) for line in (folder / "own.jsonl").read_text().splitlines()]
    bodies = [one["canonical_solution"] if n % 2 else "    return None\n" for n, one in enumerate(lines)]
    samples = [{"task_id": one["task_id"], "completion": body} for one, body in zip(lines, bodies, strict=True)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    ran = harness(
        "eval", "--samples", folder / "samples.jsonl", "--tasks", folder / "own.jsonl", "--out", folder / "run"
    )
    assert ran.exit_code == 0, ran.output
    return folder / "run"


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy of that run to forge."""
    return Path(shutil.copytree(honest, tmp_path / "run"))


def edit(path: Path, change: Callable[[Lines], object]) -> None:
    """Change the lines of a records file, or the one object of a report."""
    whole = path.suffix == ".json"
    lines = [json.loads(path.read_text())] if whole else [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.slow
def test_an_honest_run_holds(honest: Path) -> None:
    found = verify(honest, count=50, seed=0)
    assert found.checked == found.total > 0
    assert found.mismatches == ()
    ran = harness("verify", honest, "--count", "1")
    assert ran.exit_code == 0
    assert f"1 of {found.total} samples judged again, 0 verdicts do not hold" in ran.stdout


@pytest.mark.slow
def test_a_forged_verdict_is_found(run: Path) -> None:
    def forge(lines: Lines) -> None:
        failed = next(line for line in lines if not line["passed"])
        failed.update(outcome="passed", passed=True)

    def follow(lines: Lines) -> None:
        (report,) = lines
        outcomes = report["outcomes"]
        other = next(name for name, count in outcomes.items() if count and name != "passed")
        outcomes["passed"], outcomes[other] = outcomes["passed"] + 1, outcomes[other] - 1
        report["pass_at_k"]["1"]["value"] = outcomes["passed"] / report["samples"]

    edit(run / "verdicts.jsonl", forge)
    edit(run / "report.json", follow)
    ran = harness("verify", run, "--json")
    assert ran.exit_code == 1, ran.output
    (mismatch,) = json.loads(ran.stdout)["mismatches"]
    assert (mismatch["stored"], mismatch["again"]) != ("passed", "passed")
    assert mismatch["stored"] == "passed"
    assert f"{mismatch['task_id']}[0]: stored passed, now {mismatch['again']}" in harness("verify", run).stdout


def double(lines: Lines) -> None:
    lines.append(next(line for line in lines if line["passed"]))


def swap(lines: Lines) -> None:
    outcomes = lines[0]["outcomes"]
    outcomes.update(passed=outcomes["failed"] + outcomes["passed"], failed=0)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("report.json", lambda lines: lines[0]["pass_at_k"]["1"].update(value=0.99), "not those of its verdicts"),
        ("report.json", swap, "not those of its verdicts"),
        ("verdicts.jsonl", double, "has two verdicts"),
        ("verdicts.jsonl", lambda lines: lines.pop(), "not those of the samples"),
        ("samples.jsonl", lambda lines: lines.pop(), "not those of the samples"),
        ("verdicts.jsonl", lambda lines: lines[0].update(task_id="\x1b::error::"), "is no task of"),
    ],
    ids=["score", "counts", "doubled verdict", "lost verdict", "lost sample", "unknown task"],
)
def test_files_that_do_not_fit_together_are_found(
    run: Path, file: str, change: Callable[[Lines], object], said: str
) -> None:
    edit(run / file, change)
    with pytest.raises(UsageError, match=said) as caught:
        verify(run, count=1, seed=0)
    assert "\x1b" not in str(caught.value)


def test_failures_left_out_of_all_files_are_found(run: Path) -> None:
    kept = [json.loads(line)["task_id"] for line in (run / "verdicts.jsonl").read_text().splitlines()]
    passed = [json.loads(line)["passed"] for line in (run / "verdicts.jsonl").read_text().splitlines()]
    good = {task for task, one in zip(kept, passed, strict=True) if one}

    def drop(lines: Lines) -> None:
        lines[:] = [line for line in lines if line["task_id"] in good]

    def follow(lines: Lines) -> None:
        outcomes = dict.fromkeys(lines[0]["outcomes"], 0)
        lines[0].update(samples=len(good), outcomes={**outcomes, "passed": len(good)})
        lines[0]["pass_at_k"]["1"]["value"] = 1.0

    edit(run / "samples.jsonl", drop)
    edit(run / "verdicts.jsonl", drop)
    edit(run / "report.json", follow)
    with pytest.raises(UsageError, match="neither judged nor reported as missing"):
        verify(run, count=1, seed=0)


def test_a_benchmark_that_has_changed_is_said(run: Path, honest: Path) -> None:
    tasks = run.parent / "own.jsonl"
    tasks.write_text((honest.parent / "own.jsonl").read_text() + "\n")
    edit(run / "run.json", lambda lines: lines[0].update(dataset_source=str(tasks)))
    with pytest.raises(UsageError, match="has digest"):
        verify(run, count=1, seed=0)
