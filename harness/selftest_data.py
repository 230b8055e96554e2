"""Attacks on the harness through what it reads and shows: samples, tasks, answers, caches, an engine that is gone.

Each returns a line as the attacks of programs do. They run nothing outside of the sandbox, if they are held off.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.errors import HarnessError, SamplesError, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.extract import extract_program
from harness.gate_output import annotation_text, log_text, markdown_text
from harness.records import Outcome, TextRule, TextTests
from harness.samples import read_samples
from harness.selfcheck import CALLED, CHECKED, sample_of
from harness.selftest import LIMITS, Line, environment, judged
from harness.texts import compare_text
from sandbox import Sandbox, SandboxError, SandboxUnavailable, hostile_program, hostile_programs, open_sandbox

_TASK = {
    "task_id": "Own/0",
    "prompt": "def add(x, y):\n",
    "entry_point": "add",
    "canonical_solution": "    return x + y\n",
    "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
}
_ENDLESS = "..."  # stands for a hundred megabytes
BAD_LINES = {
    "a path for an id": '{"task_id": "../../x", "solution": "x"}',
    "an unknown id": '{"task_id": "Own/9", "solution": "x"}',
    "a key that stands twice": '{"task_id": "Own/0", "task_id": "Own/0", "solution": "x"}',
    "a solution that is no text": '{"task_id": "Own/0", "solution": ["x"]}',
    "JSON nested a hundred thousand times": '{"task_id": "Own/0", "solution": ' + "[" * 100_000,
    "no JSON": '{"task_id": "Own/0", "solution": ',
    "a line of a hundred megabytes": '{"task_id": "Own/0", "solution": "' + _ENDLESS,
}
NASTY = (
    "</pre><script>pwn(1)</script><img src=x onerror=pwn(2)>|`x`[y](javascript:pwn(3))=cmd()\n::error::x\r\x1b[2J\x07"
)
_EXTRACTION_SECONDS = 2.0
_Attack = Callable[[], list[str]]


class _MakesFolder:
    """Makes a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._path),)


@dataclass(frozen=True, slots=True)
class DataAttack:
    """An attack on what the harness reads: its item in the list of attacks, what it tries, and what does it."""

    item: str
    tries: str
    attempt: _Attack

    def __call__(self) -> Line:
        """Run it, and say whether it was held off."""
        problems = tuple(self.attempt())
        outcome = "got through" if problems else "refused"
        return Line(item=self.item, tries=self.tries, outcome=outcome, problems=problems)


def data_attacks(sandbox: Sandbox, folder: Path) -> list[DataAttack]:
    """Return the attacks, to be called one by one; `folder` is empty and theirs."""
    tasks = folder / "own.jsonl"
    tasks.write_text(json.dumps(_TASK) + "\n")
    found: list[tuple[str, str, _Attack]] = [
        ("R24", "sources that take their reader long to cut out of an answer", _extraction),
        *(("G72", f"samples: {name}", partial(_bad_line, tasks, line)) for name, line in BAD_LINES.items()),
        ("G73", "markup in logs, Markdown, annotations and pages", partial(_shown, sandbox.name, folder, tasks)),
        ("G74", "commands of CI runners in a log", _log),
        ("G75", "a recipe that is YAML with an object in it", partial(_yaml, folder)),
        ("G76", "an answer that is an expression of Python", partial(_expression, sandbox, folder)),
        ("G77", "a cache of expected values that is a pickle", partial(_pickles, sandbox, folder)),
        ("G78", "the cell goes away under a program", partial(_lost_cell, sandbox.name)),
        ("G78", "no engine answers", _no_engine),
    ]
    if sandbox.name == "docker":
        found.append(("G78", "the image is missing", _no_image))
    return [DataAttack(*attack) for attack in found]


def _extraction() -> list[str]:
    problems = []
    sources = [program.source for program in hostile_programs() if program.item == "R24"]
    for source in [*sources, "```python\n" * 100_000, '"""' * 1_000_000]:
        start = time.thread_time()
        program = extract_program(CHECKED, source)
        if (seconds := time.thread_time() - start) > _EXTRACTION_SECONDS or not isinstance(program, str):
            problems.append(f"{seconds:.1f} s for {source[:20]!r}…")
    return problems


def _bad_line(tasks: Path, line: str) -> list[str]:
    path = tasks.with_name("samples.jsonl")
    with path.open("w") as file:
        file.write('{"task_id": "Own/0", "solution": "x"}\n' + line.removesuffix(_ENDLESS))
        file.truncate((100 << 20) if line.endswith(_ENDLESS) else None)  # the rest is a hole: zeros
    before = sorted(tasks.parent.iterdir())
    try:
        read_samples(path, load_benchmark(str(tasks)), partial=True)
    except SamplesError as error:
        message = str(error)
    else:
        return ["it was read"]
    is_clear = f"{path.name}, line 2: " in message and message.isprintable() and len(message) < 1000
    return ["the message does not name the line"] * (not is_clear) + ["files were made"] * (
        sorted(tasks.parent.iterdir()) != before
    )


def _shown(sandbox: str, folder: Path, tasks: Path) -> list[str]:
    problems = []
    text = markdown_text(NASTY)
    if any(mark in text for mark in ("<script", "<img", "\n", "\x1b")) or "](" in text.replace("\\]", ""):
        problems.append(f"Markdown: {text!r}")
    pages = list(entry_points(group="harness.pages", name="run"))
    if not pages:
        return problems
    samples = folder / "nasty.jsonl"
    samples.write_text(json.dumps({"task_id": "Own/0", "solution": f"def add(x, y):\n    return {NASTY!r}\n# {NASTY}"}))
    evaluate(EvalConfig(tasks=(str(tasks),), out=folder / "run", samples=samples, sandbox=sandbox, workers=1))
    with contextlib.suppress(UsageError):  # its templates may not be installed: then there is no page to attack
        pages[0].load()(folder / "run", folder / "page.html", None, None)
        page = (folder / "page.html").read_text(encoding="utf-8")
        problems += [f"page: {mark}" for mark in ("<script>pwn", "<img src=x", "\x1b") if mark in page]
    return problems


def _log() -> list[str]:
    problems = []
    for name in ("error", "add-mask", "stop-commands", "set-output"):
        for text in (f"::{name}::x", f"\n::{name}::x\r::{name}::y", f"##[{name}]", f"##vso[{name}]\x1b[2J"):
            for form in (log_text, annotation_text):
                shown = form(text)
                if shown.startswith("::") or "##[" in shown or "##vso[" in shown or not shown.isprintable():
                    problems.append(f"{form.__name__}: {shown!r}")
    return problems


def _yaml(folder: Path) -> list[str]:
    commands = list(entry_points(group="harness.commands", name="distill"))
    mark, recipe = folder / "constructed", folder / "recipe.yaml"
    recipe.write_text(f"!!python/object/apply:os.mkdir [{str(mark)!r}]\n")
    problems = []
    for command in commands:  # without it nothing here reads YAML
        arguments = ["pretrain", "--config", str(recipe), "--out", str(folder / "student")]
        try:
            command.load().main(arguments, standalone_mode=False)
            problems.append("it was read")
        except HarnessError:
            pass
    return problems + ["an object was made"] * mark.exists()


def _expression(sandbox: Sandbox, folder: Path) -> list[str]:
    mark = folder / "evaluated"
    text = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    tests = TextTests(expected="1", rule=TextRule.NUMBERS, characters=1000)
    compare_text(CHECKED, tests, sample_of(CHECKED, text))
    program = f"def add(x, y):\n    return {text!r}\n"
    verdict = judged(sandbox, CHECKED, program)
    return ["it was evaluated"] * mark.exists() + ["it passed"] * verdict.passed


def _pickles(sandbox: Sandbox, folder: Path) -> list[str]:
    """Put a pickle that writes a file where expected values are kept, and judge by them."""
    mark = folder / "unpickled"
    with environment("HARNESS_CACHE", str(folder / "cache")):
        judged(sandbox, CALLED, CALLED.reference)
        kept = [path for path in (folder / "cache" / "expected").iterdir() if path.is_file()]
        for path in kept:
            path.write_bytes(pickle.dumps(_MakesFolder(mark)))
        verdict = judged(sandbox, CALLED, CALLED.reference)
    problems = ["nothing was kept"] * (not kept) + ["it was loaded"] * mark.exists()
    return problems + [f"a right program is judged {verdict.outcome}"] * (not verdict.passed)


def _lost_cell(name: str) -> list[str]:
    """Close a sandbox under a program: that is the machine's failure, and no verdict on the program."""
    pool = open_sandbox(name, LIMITS, 1)
    timer = threading.Timer(0.5, pool.close)
    timer.start()
    try:
        verdict = judged(pool, CHECKED, hostile_program("sleeps for thirty years").source)
    except SandboxError:
        return []
    finally:
        timer.join()
    return [f"judged {verdict.outcome}"] * (verdict.outcome is not Outcome.NOT_JUDGED)


def _no_engine() -> list[str]:
    with environment("DOCKER_HOST", "tcp://127.0.0.1:1"):  # where nobody listens
        return _unavailable("auto")


def _no_image() -> list[str]:
    return _unavailable("harness-selftest-no-such-image")


def _unavailable(image: str) -> list[str]:
    try:
        open_sandbox("docker", LIMITS, 1, image).close()
    except SandboxUnavailable:
        return []
    return ["a sandbox was opened"]
