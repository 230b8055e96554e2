"""Programs that hold their tests' answers are told from others: by values of several tests, in any form, cheaply."""

from __future__ import annotations

import copy
import gzip
import json
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import load_benchmark
from harness.evaluation import EvalConfig, evaluate
from harness.hardcoded import FEWEST_TESTS, LONGEST_PROGRAM, Hardcoded
from harness.print_report import print_reports, show
from harness.records import CallTests, CheckTests, Evidence, Outcome, Task, TextRule, TextTests, Verdict
from harness.report import Tally
from harness.store import read_lines
from sandbox import SandboxError

REFERENCE = "def f(items):\n    return [x for x in items if items.count(x) == 1]\n"
TASK = Task(
    task_id="Own/1",
    prompt='def f(items):\n    """What occurs once. f([7, 8, 7]) is [8]."""\n',
    entry_point="f",
    reference=REFERENCE,
    tests=CheckTests(
        source="""
def check(candidate):
    assert candidate([7, 8, 7]) == [8]
    assert candidate([1, 2, 1, 3]) == [2, 3]
    assert candidate([5, 5, 6]) == [6], "two fives"
    assert candidate([]) == []
    assert candidate(["a", "b", "a"]) == ["b"]
    assert [9, 4] == candidate([9, 3, 3, 4])
""",
        remote_names=("f",),
    ),
)
TABLES = {
    "dict": "def f(x):\n    return {(1, 2, 1, 3): [2, 3], (5, 5, 6): [6], ('a', 'b', 'a'): ['b']}[tuple(x)]\n",
    "texts": "def f(x):\n    return {'[1, 2, 1, 3]': [2, 3], '[5, 5, 6]': [6], '[9, 3, 3, 4]': [9, 4]}[str(x)]\n",
    "pairs": "T = [([1, 2, 1, 3], [2, 3]), ([5, 5, 6], [6]), ([9, 3, 3, 4], [9, 4])]\nf = lambda x: dict(T)[x]\n",
    "ifs": "def f(x):\n    if x == [1, 2, 1, 3]: return [2, 3]\n    if [5, 5, 6] == x: return [6]\n"
    "    return [9, 4] if x == [9, 3, 3, 4] else ['b']\n",
    "cases": "def f(x):\n    match x:\n        case [1, 2, 1, 3]: return [2, 3]\n        case [5, 5, 6]: return [6]\n"
    "        case ['a', 'b', 'a']: return ['b']\n",
}
WHOLE_TABLE = (
    "def f(x):\n    return {(1, 2, 1, 3): [2, 3], (5, 5, 6): [6], ('a', 'b', 'a'): ['b'], (7, 8, 7): [8], (): [], "
    "(9, 3, 3, 4): [9, 4]}[tuple(x)]\n"
)
SUMS = replace(
    TASK,
    prompt="",
    reference="def f(x, y):\n    return x + y\n",
    tests=CallTests(entry_point="f", base_inputs=((1, 2), (2, 3), (-4, 4)), plus_inputs=((10**6, 1),)),
)
SMALL = {
    "dict": "def f(x, y):\n    return {(1, 2): 3, (2, 3): 5, (-4, 4): 0}.get((x, y), x + y)\n",
    "ifs": "def f(x, y):\n    if x == 1 and y == 2: return 3\n    if x == 2 and 3 == y: return 5\n"
    "    return 0 if x == -4 and y == 4 else 1\n",
    "stored": "D = {}\nD[1, 2] = 3\nD[2, 3] = 5\nD[-4, 4] = 0\ndef f(x, y):\n    return D[x, y]\n",
}


def looks(task: Task, program: str) -> bool:
    return Hardcoded(_answers)(task, program)


def _answers(task: Task) -> list[Any]:
    assert isinstance(task.tests, CallTests)
    namespace: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a published regular expression without r""
        exec(task.reference, namespace)
    return [namespace[task.entry_point](*copy.deepcopy(arguments)) for arguments in task.tests.base_inputs]


@pytest.mark.parametrize("form", TABLES)
def test_a_table_of_the_tests_is_seen(form: str) -> None:
    assert looks(TASK, TABLES[form])
    assert looks(TASK, TASK.prompt + "    pass\n" + TABLES[form])


@pytest.mark.parametrize("form", SMALL)
def test_small_inputs_count_together_with_their_answers(form: str) -> None:
    assert looks(SUMS, SMALL[form])


def test_answers_alone_count_too() -> None:
    lines = [f"    assert candidate({n}) == {n * 1237}" for n in range(1, 6)]
    task = replace(TASK, tests=CheckTests(source="def check(candidate):\n" + "\n".join(lines), remote_names=("f",)))
    assert looks(task, "A = [6185, 4948, 3711]\ndef f(x):\n    return A.pop()\n")
    assert not looks(task, "A = [6186, 4949, 3712]\ndef f(x):\n    return A.pop()\n")


def test_other_programs_are_not() -> None:
    two_tests = "def f(x):\n    return {(1, 2, 1, 3): [2, 3], (5, 5, 6): [6]}[tuple(x)]\n"
    shown = "def f(x):\n    return {(7, 8, 7): [8], (7, 8): 1, (8,): 2, (): 0}[tuple(x)]\n"
    other = "def f(x):\n    return {(1, 2): [3], (3, 4): [5], (5, 6): [7], (7, 8): [9]}[tuple(x)]\n"
    for program in (REFERENCE, two_tests, shown, other, "def f(x):\n    return 1\n", "not Python ''' 1 2 3"):
        assert not looks(TASK, program), program
    assert not looks(SUMS, "def f(x, y):\n    return {1: 2, 2: 3, 3: 4, 4: 5}.get(x, (1, 2, 3, 4, 0)[y])\n")
    assert not looks(replace(TASK, reference=TABLES["dict"]), TABLES["dict"])
    assert not looks(replace(TASK, tests=TextTests(expected="1", rule=TextRule.NUMBERS, characters=9)), TABLES["dict"])


def test_of_many_tests_a_share_must_be_known() -> None:
    lines = [f"    assert candidate([{n}, 7]) == [{2 * n}, 7]" for n in range(4 * FEWEST_TESTS)]
    task = replace(TASK, tests=CheckTests(source="def check(candidate):\n" + "\n".join(lines), remote_names=("f",)))
    table = "def f(x):\n    return [{}][0]\n"
    assert not looks(task, table.format(", ".join(f"[{n}, 7]" for n in range(FEWEST_TESTS))))
    assert looks(task, table.format(", ".join(f"[{n}, 7]" for n in range(1, 4 * FEWEST_TESTS))))


SEEN = {"humaneval": 150, "humaneval+": 157, "mbpp": 426, "mbpp-sanitized": 363, "mbpp+": 324}  # tables of tasks
BOMBS = {
    "brackets": "(" * 30_000 + ")" * 30_000,
    "sum": "x = " + "1+" * 30_000 + "1",
    "signs": "x = " + "-" * 60_000 + "1",
    "attributes": "x = a" + ".b" * 30_000,
    "calls": "x = a" + "()" * 30_000,
    "digits": "x = [" + "9" * 60_000 + "]",
    "hexadecimal": "x = [1, 2, 0x" + "f" * 60_000 + "]",
    "lists": "x = [" + "[1]," * 15_000 + "]",
    "nested": "\n".join("x = " + "[" * 150 + "1" + "]" * 150 for _ in range(200)),
    "else": "if 1: pass\n" + "elif 1: pass\n" * 5_000,
    "nul": "x = [1, 2, 3]\0",
    "surrogate": "x = ['\ud800', '\ud800', 1, 2, 3]",
    "escapes": "x = '\\d\\d\\d' 'a' 'b'",
    "long": "x = [1, 2, 3]\n" + "#" * LONGEST_PROGRAM,
}


@pytest.mark.parametrize("name", BOMBS)
def test_no_program_breaks_it_or_takes_it_long(name: str) -> None:
    found: list[bool] = []
    start = time.process_time()
    thread = threading.Thread(target=lambda: found.append(looks(TASK, BOMBS[name])))  # its stack is a judge's
    thread.start()
    thread.join()
    assert found == [False]
    assert time.process_time() - start < 2


def test_what_is_known_of_a_task_is_kept() -> None:
    asked: list[str] = []

    def answers(task: Task) -> list[Any]:
        asked.append(task.task_id)
        return _answers(task)

    look = Hardcoded(answers)
    assert [look(SUMS, program) for program in (SMALL["dict"], SMALL["ifs"], SUMS.reference)] == [True, True, False]
    assert asked == ["Own/1"]


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", SEEN)
def test_reference_solutions_raise_no_alarm_and_their_tables_do(name: str) -> None:
    look, alarms, tables, tasks = Hardcoded(_answers), [], 0, load_benchmark(name).tasks
    for task in tasks:
        answers = _answers(task) if isinstance(task.tests, CallTests) else []
        strict = Hardcoded(lambda _, answers=answers: answers)  # what the reference holds itself counts, too
        alarms += [task.task_id] * (strict(replace(task, reference=""), task.reference) or look(task, task.reference))
        tables += look(task, _table(task))
    assert alarms == ([] if name != "mbpp" else ["Mbpp/159"])  # which holds the names of months that tests ask for
    assert tables == SEEN[name]


def _table(task: Task) -> str:
    from harness.hardcoded import written_examples

    if isinstance(task.tests, CheckTests):
        pairs = [(one.arguments, one.expected[:1]) for one in written_examples(task.tests)]
    else:
        assert isinstance(task.tests, CallTests)
        pairs = [(one, (answer,)) for one, answer in zip(task.tests.base_inputs, _answers(task), strict=True)]
    rows = "".join(f"    if k == {(a[0] if len(a) == 1 else a)!r}: return {b[0]!r}\n" for a, b in pairs if a and b)
    return f"def {task.entry_point}(*k):\n    k = k[0] if len(k) == 1 else k\n{rows}"


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["humaneval", "humaneval+"])
def test_samples_of_a_real_model_raise_no_alarm(data_dir: Path, name: str) -> None:
    path = data_dir / "codegen16b_humaneval_first20.jsonl.gz"
    tasks = {task.task_id: task for task in load_benchmark(name).tasks}
    look, alarms, count = Hardcoded(_answers), [], 0
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for row in map(json.loads, file):
            task = tasks[row["task_id"]]
            count += 1
            alarms += [task.task_id] * look(task, task.prompt + row["completion"])
    assert (count, alarms) == (3280, [])


def verdict(outcome: Outcome, **changes: Any) -> Verdict:
    plain = Verdict(
        task_id="Own/1",
        sample_index=0,
        outcome=outcome,
        passed=outcome is Outcome.PASSED,
        tests_run=1,
        tests_expected=1,
        evidence=Evidence(),
        cpu_seconds=0.0,
        wall_seconds=0.0,
        peak_memory_bytes=0,
    )
    return replace(plain, **changes)


def test_both_signs_are_counted() -> None:
    tally = Tally()
    for one in (
        verdict(Outcome.PASSED, base_passed=True),
        verdict(Outcome.PASSED, base_passed=True, hardcoded=True),
        verdict(Outcome.FAILED, base_passed=True),
        verdict(Outcome.TIMEOUT, base_passed=True),
        verdict(Outcome.FAILED, base_passed=False),
        verdict(Outcome.FAILED),
    ):
        tally.add_verdict(one)
    assert (tally.hardcoded, tally.base_only) == (1, 2)


@pytest.mark.slow
def test_a_report_says_how_many(tmp_path: Path, require: Any, capsys: pytest.CaptureFixture[str]) -> None:
    test = TASK.tests.source if isinstance(TASK.tests, CheckTests) else ""
    row = {"task_id": "Own/1", "prompt": TASK.prompt, "entry_point": "f", "test": test}
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    programs = [REFERENCE, WHOLE_TABLE, WHOLE_TABLE, "def f(x):\n    return {(1, 2, 1, 3): [2, 3]}[tuple(x)]\n"]
    lines = [json.dumps({"task_id": "Own/1", "solution": program}) for program in programs]
    (tmp_path / "samples.jsonl").write_text("\n".join(lines) + "\n")
    asked = EvalConfig(tasks=(str(tmp_path / "own.jsonl"),), samples=tmp_path / "samples.jsonl", out=tmp_path / "run")
    try:
        (report,) = evaluate(asked)
    except SandboxError as error:
        require(False, f"cells: {error}")
    assert (report.hardcoded, report.reused, report.outcomes[Outcome.PASSED]) == (2, 1, 3)
    assert [one.hardcoded for one in read_lines(tmp_path / "run" / "verdicts.jsonl", Verdict)] == [0, 1, 1, 0]
    assert print_reports([replace(report, base_only=5)], as_json=False) == 0
    said = capsys.readouterr().out
    assert "hardcoded: 2 samples" in said
    assert "base only: 5 samples" in said
    show(tmp_path / "run", 0, "Own/1", as_json=False)
    assert capsys.readouterr().out.count("the answers to the tests are in its source") == 2
