"""A loop's folder: one configuration, one process, the same inputs; and what is looked at before anything is done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from distill.claim import claimed
from distill.command import distill
from distill.config import load_file
from distill.keep import Decision
from distill.loop import CONFIG, Journal, LoopConfig, Machine, run_loop, status_of
from distill.round import Round
from harness import NoProgress, StoreMismatch, UsageError

ROOT = Path(__file__).resolve().parents[2]
MACHINE = Machine(progress=NoProgress, say=lambda text: None)


class PlayedError(Exception):
    """A round began."""


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(self: Round, measured: Path | None, alpha: float | None = None) -> Decision:
        raise PlayedError

    monkeypatch.setattr(Round, "play", play)


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., LoopConfig]:
    """Return what makes a loop of a file of tests and one of questions, which are both there."""
    for name, split, tier, text, solution in (
        ("tests", "test", "easy", "Return x.", "x"),
        ("questions", "train", "easy", "What comes, goes.", "[x].pop()"),
    ):
        row = {
            "task_id": f"{split}/0",
            "prompt": f'def f(x):\n    """{text}"""\n',
            "canonical_solution": f"    return {solution}\n",
            "entry_point": "f",
            "test": "def check(candidate):\n    assert candidate(1) == 1\n",
            "tier": tier,
            "split": split,
        }
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "answers.jsonl").write_text('{"task_id": "train/0", "completion": "    return x\\n"}\n')

    def make(**changes: object) -> LoopConfig:
        plain = {
            "student": "demo:student",
            "teacher": {"samples": str(tmp_path / "answers.jsonl")},
            "tasks": str(tmp_path / "tests.jsonl"),
            "questions": {"source": str(tmp_path / "questions.jsonl")},
            "training": {"steps": 1},
        }
        return msgspec.convert({**plain, **changes}, LoopConfig)

    return make


def begun(out: Path) -> None:
    """Leave a stage that is done in a loop's folder."""
    (out / "rounds" / "01").mkdir(parents=True, exist_ok=True)
    Journal(out / "rounds" / "01").once("evaluate", lambda: {"samples": 1})


@pytest.mark.usefixtures("begins")
def test_a_loop_that_has_what_it_needs_begins(config: Callable[..., LoopConfig], tmp_path: Path) -> None:
    for changes in ({}, {"questions": {}}, {"teacher": {"model": "demo:teacher"}}, {"teacher": {"model": "canonical"}}):
        with pytest.raises(PlayedError):
            run_loop(config(**changes), tmp_path / "out", MACHINE)


MISSING = [
    ({"student": "away/from:here"}, "away"),
    ({"student": "./away"}, "away"),
    ({"teacher": {"model": "./gone"}}, "gone"),
    ({"teacher": {"samples": "nothing.jsonl"}}, "cannot read nothing.jsonl"),
    ({"tasks": "nothing.jsonl"}, "nothing.jsonl"),
    ({"questions": {"source": "nothing.jsonl"}}, "nothing.jsonl"),
    ({"questions": {"source": "{tmp}/list.jsonl"}}, "list.jsonl, line 1"),
    ({"questions": {"source": "{tmp}/tests.jsonl"}}, "not marked as a task to train on"),
    ({"questions": {"source": "{tmp}/hard.jsonl"}}, "no questions of the tier easy"),
    ({"questions": {"source": "{tmp}/calls.jsonl"}}, "its tests are in no format"),
    ({"tasks": "{tmp}/steep.jsonl", "questions": {}}, "no tier 'steep'"),
    (
        {
            "questions": {"source": "{tmp}/questions.jsonl", "feedback": "levels"},
            "attempts": {"rule": "paper", "views": {"scorer": "./unknown"}},
        },
        "unknown",
    ),
]


@pytest.mark.usefixtures("begins")
@pytest.mark.parametrize(("changes", "message"), MISSING)
def test_what_is_missing_or_does_not_fit_is_said_at_once_and_can_be_corrected(
    config: Callable[..., LoopConfig], tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    row = json.loads((tmp_path / "questions.jsonl").read_text())
    calls = {name: row[name] for name in ("task_id", "prompt", "canonical_solution", "entry_point", "tier", "split")}
    calls |= {"base_input": [[1]], "plus_input": [], "contract": "", "atol": 0}
    rows = {"list": [1], "hard": row | {"tier": "hard"}, "calls": calls}
    rows["steep"] = json.loads((tmp_path / "tests.jsonl").read_text()) | {"tier": "steep"}
    for name, content in rows.items():
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(content) + "\n")
    wrong = json.loads(json.dumps(changes).replace("{tmp}", str(tmp_path)))
    with pytest.raises(UsageError, match=message):
        run_loop(config(**wrong), tmp_path / "out", MACHINE)
    assert not list((tmp_path / "out" / "rounds").glob("*"))
    with pytest.raises(PlayedError):
        run_loop(config(), tmp_path / "out", MACHINE)
    assert load_file(tmp_path / "out" / CONFIG, LoopConfig) == config()


@pytest.mark.usefixtures("begins")
def test_a_teacher_is_not_looked_for_any_more_when_it_has_answered(
    config: Callable[..., LoopConfig], tmp_path: Path
) -> None:
    begun(tmp_path / "out")
    with (tmp_path / "out" / CONFIG).open("w") as file:
        from distill.config import dump

        file.write(dump(config(teacher={"model": "./gone"})))
    with pytest.raises(UsageError, match="gone"):
        run_loop(config(teacher={"model": "./gone"}), tmp_path / "out", MACHINE)
    Journal(tmp_path / "out" / "rounds" / "01").once("answers", lambda: {"samples": 1})
    with pytest.raises(PlayedError):
        run_loop(config(teacher={"model": "./gone"}), tmp_path / "out", MACHINE)


@pytest.mark.usefixtures("begins")
@pytest.mark.parametrize("name", ["questions", "answers"])
def test_a_loop_goes_on_with_the_files_that_it_began_with(
    config: Callable[..., LoopConfig], tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.jsonl"
    was = path.read_text()
    with pytest.raises(PlayedError):
        run_loop(config(), tmp_path / "out", MACHINE)
    path.write_text(was + "\n")
    with pytest.raises(PlayedError):  # nothing was done with the other one yet
        run_loop(config(), tmp_path / "out", MACHINE)
    begun(tmp_path / "out")
    path.write_text(was)
    with pytest.raises(StoreMismatch, match=rf"{name}\.jsonl .* is another file than the one"):
        run_loop(config(), tmp_path / "out", MACHINE)
    path.write_text(was + "\n")
    with pytest.raises(PlayedError):
        run_loop(config(), tmp_path / "out", MACHINE)


@pytest.mark.usefixtures("begins")
def test_one_process_at_a_time_has_a_loops_folder(config: Callable[..., LoopConfig], tmp_path: Path) -> None:
    holding = (
        "import sys; from pathlib import Path; from distill.claim import claimed; import msgspec\n"
        "from distill.loop import LoopConfig\n"
        "with claimed(Path(sys.argv[1]), msgspec.json.decode(sys.argv[2], type=LoopConfig)):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", holding, str(tmp_path / "out"), msgspec.json.encode(config()).decode()]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(UsageError, match="in use by another run"):
            run_loop(config(), tmp_path / "out", MACHINE)
        other.kill()
    with pytest.raises(PlayedError):
        run_loop(config(), tmp_path / "out", MACHINE)


def test_a_place_that_cannot_be_written_is_said(config: Callable[..., LoopConfig], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(UsageError, match=r"cannot write to .* Give another --out"):
            run_loop(config(), out, MACHINE)


def test_a_loops_records_name_absolute_paths(
    config: Callable[..., LoopConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with claimed(Path("out"), config()) as folder:
        assert folder == tmp_path.resolve() / "out"


@pytest.mark.parametrize("options", [["--rounds", "5000"], ["--set", "rounds=0"], ["--set", "rounds=-3"]])
def test_a_number_of_rounds_that_cannot_be_is_said(options: list[str], tmp_path: Path) -> None:
    ran = CliRunner().invoke(distill, ["run", "--recipe", "sft", "--out", str(tmp_path / "out"), *options])
    assert isinstance(ran.exception, UsageError), ran.exception
    assert "rounds is 1 to 999" in str(ran.exception)


def test_rounds_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / CONFIG).touch()
    for number in (100, 99, 9):
        (tmp_path / "rounds" / f"{number:02}").mkdir(parents=True)
    assert [status.round for status in status_of(tmp_path)] == [9, 99, 100]
