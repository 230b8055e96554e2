"""Attacks on the harness through what it reads and shows: samples, tasks, answers, caches, an engine that is gone.

Each returns a line as the attacks of programs do. They run nothing outside of the sandbox, if they are held off.
"""

from __future__ import annotations

import json
import os
import pickle
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

from harness.benchmarks import load_benchmark
from harness.errors import HarnessError, SamplesError
from harness.extraction import RULES
from harness.records import CallTests, CheckTests, Outcome, TextRule, TextTests
from harness.samples import read_samples
from harness.selfcheck import CALLED, CHECKED, sample_of
from harness.selftest_bench import LIMITS, Line, environment, judged
from harness.selftest_shown import documents_of, log, marked, shown, templates
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
# What is returned, what is expected, and whether they agree: by Python's `==`, and by the rule of the + benchmarks.
_PAIRS = (
    ("True", "1", True, True),
    ("-0.0", "0", True, True),
    ("1.0", "1", True, True),
    ("{2, 1}", "{1, 2}", True, True),
    ("{'b': 2, 'a': 1}", "{'a': 1, 'b': 2}", True, True),
    ("0.1 + 0.2", "0.3", False, True),
    ("__import__('decimal').Decimal('0.5')", "0.5", True, True),
    ("(1, 2)", "[1, 2]", False, False),
    ("'1'", "1", False, False),
    ("float('nan')", "float('nan')", False, False),
    ("[float('nan')]", "[float('nan')]", False, False),
    ("(x for x in [1, 2])", "[1, 2]", False, False),
    ("__import__('numpy').array([1, 2])", "[1, 2]", False, False),
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
    documents = cache(partial(documents_of, sandbox.name, folder, tasks))
    found: list[tuple[str, str, _Attack]] = [
        ("R24", "sources that take their reader long to cut out of an answer", _extraction),
        *(("G72", f"samples: {name}", partial(_bad_line, tasks, line)) for name, line in BAD_LINES.items()),
        ("T54", "values of other types and orders, by the benchmark's rule", partial(_pairs, sandbox)),
        ("G73", "markup in Markdown and annotations", marked),
        ("G73", "markup and formulas in pages and leaderboards", partial(shown, documents)),
        ("G74", "commands of CI runners in a log", log),
        ("G75", "a recipe that is YAML with an object in it", partial(_yaml, folder)),
        ("G75", "templates in answers and names", partial(templates, documents)),
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
        for rule in RULES.values():
            start = time.thread_time()
            program = rule.extract(CHECKED, source)
            if (seconds := time.thread_time() - start) > _EXTRACTION_SECONDS or not isinstance(program, str):
                problems.append(f"{rule.name}: {seconds:.1f} s for {source[:20]!r}…")
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


def _pairs(sandbox: Sandbox) -> list[str]:
    """Judge values by a benchmark's own assertions, and as calls that are compared with a reference's."""
    problems = []
    for returned, expected, equal, alike in _PAIRS:
        program = f"def f():\n    return {returned}\n"
        checks = CheckTests(source=f"assert f() == {expected}\n", remote_names=("f",))
        calls = CallTests(entry_point="f", base_inputs=((),), plus_inputs=())
        for tests, wanted in ((checks, equal), (calls, alike)):
            task = replace(CHECKED, entry_point="f", reference=f"def f():\n    return {expected}\n", tests=tests)
            if judged(sandbox, task, program).passed != wanted:
                by = type(tests).__name__
                problems.append(f"{returned} for {expected} {'fails' if wanted else 'passes'} by {by}")
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
