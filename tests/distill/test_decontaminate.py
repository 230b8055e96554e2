"""Decontamination: a planted leak of each kind is caught, what is clean stays, and nobody's program runs in here."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.testing import CliRunner
from fakes import FakeSandbox, Script, saying

from distill.decontaminate import Decontamination, LeakRules, candidates_of, decontaminate
from distill.decontaminate_command import decontaminate as command
from distill.lesson_stage import DECONTAMINATION, ComparedLessons, compared_with_tests
from distill.lessons import Fault, FaultSource, LeakageError, Lesson
from distill.likeness import Kind, Likeness, LikenessRules
from distill.loop import LoopConfig, Machine
from distill.round_runs import RoundRuns
from distill.shapes import functions_of
from distill.texts import TrainingText, programs_in, read_texts, text_of_lesson
from harness import Candidate, MeasurementInvalid, NoProgress, Outcome, UsageError, load_benchmark
from harness.probes import MAX_DEATHS, Prober, Target
from harness.solvers import bits_of
from tests.distill import made_lessons

TASKS = [
    {
        "task_id": "Own/1",
        "entry_point": "digit_gap",
        "prompt": 'def digit_gap(n):\n    """Return the difference between the largest and the smallest decimal digit'
        ' of a positive whole number.\n    >>> digit_gap(382)\n    6\n    """\n',
        "canonical_solution": "    digits = [int(c) for c in str(n)]\n    most = max(digits)\n"
        "    least = min(digits)\n    return most - least\n",
        "test": "def check(candidate):\n    assert candidate(382) == 6\n    assert candidate(7) == 0\n"
        "    assert candidate(1090) == 9\n    assert candidate(4421) == 3\n    assert candidate(55557) == 2\n",
    },
    {
        "task_id": "Own/2",
        "entry_point": "is_long",
        "prompt": 'def is_long(word):\n    """Tell whether a word has more letters than the alphabet has vowels."""\n',
        "canonical_solution": "    return len(word) > 5\n",
        "test": "def check(candidate):\n    assert candidate('abcdef') is True\n    assert candidate('a') is False\n",
    },
    {
        "task_id": "Own/3",
        "entry_point": "total",
        "prompt": 'def total(a, b):\n    """Return what two numbers come to when they are taken together."""\n',
        "canonical_solution": "    return a + b\n",
        "test": "def check(candidate):\n    assert candidate(2, 5) == 7\n    assert candidate(-40, 17) == -23\n",
    },
]
RENAMED = '''import sys

def spread(number: int) -> int:
    """Say how far apart the digits lie."""
    figures = [int(sign) for sign in str(number)]  # each of them
    high = max(figures)
    low = min(figures)
    return high - low
'''
REWRITTEN = "def f(x):\n    s = sorted(str(x))\n    return ord(s[-1]) - ord(s[0])\n"
CLEAN = "def digits_sum(n):\n    s = 0\n    while n:\n        s, n = s + n % 10, n // 10\n    return s\n"
ONLY_TEXT = LeakRules(run=False)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A task file of one's own."""
    path = tmp_path_factory.mktemp("tasks") / "own.jsonl"
    path.write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    return str(path)


@pytest.fixture(scope="module")
def cells(require: Callable[[object, str], None]) -> str:
    """The name of a sandbox that works here."""
    from sandbox import examine

    working = [one.name for one in examine() if one.ok and one.name in ("docker", "local")]
    require(working, "a sandbox that works")
    return working[0]


def text(words: str, name: str = "one", question: str = "") -> TrainingText:
    return TrainingText(name=name, text=words, programs=programs_in(words), question=question)


def found(report: Decontamination) -> set[tuple[str, str, str]]:
    return {(leak.text, leak.task_id, leak.kind.value) for leak in report.leaks}


# N-grams


DESCRIPTION = "Return the difference between the largest and the smallest decimal digit of a positive whole number."


@pytest.mark.parametrize(
    "words",
    [
        DESCRIPTION,
        "# " + DESCRIPTION.upper().replace(" OF ", "\n# of\n") + "\nand much more text around it " * 50,
        DESCRIPTION.replace("Return", "Compute"),
        "x = 1\n" + str(TASKS[0]["canonical_solution"]).replace("    ", "\t").replace("\n", "\r\n"),
        "It comes with tests: digit_gap(382), digit_gap(7), digit_gap(1090), digit_gap( 4421 ) and so on.",
    ],
    ids=["verbatim", "in a long text, other layout", "another first word", "the solution", "the tests' calls"],
)
def test_a_text_that_holds_a_part_of_a_test_is_found(words: str, tasks: str) -> None:
    report = decontaminate([text(words)], [tasks], ONLY_TEXT)
    assert found(report) == {("one", "Own/1", "ngrams")}
    assert report.left_out == ("one",)


@pytest.mark.parametrize(
    "words",
    [
        "Return the largest digit of a positive whole number.",
        "Give back how far apart the digits of a number are.",
        "    return len(word) > 5",
        "digit_gap(382) is 6, and digit_gap(12) is 1.",
        "",
    ],
    ids=["another task", "in other words", "a line that is anybody's", "one short call", "nothing"],
)
def test_a_text_that_holds_less_is_not(words: str, tasks: str) -> None:
    assert decontaminate([text(words)], [tasks], ONLY_TEXT).leaks == ()


def test_words_of_many_tests_count_for_nothing(tmp_path: Path) -> None:
    opening = "Write a function that takes a list of whole numbers and returns"
    ends = [f"the {word} one of them all" for word in ("first", "second", "third", "fourth", "fifth", "sixth", "last")]
    rows = [{**TASKS[1], "task_id": f"T/{n}", "prompt": f'"""{opening} {end}."""\n'} for n, end in enumerate(ends)]
    for row in rows:
        row["canonical_solution"] = "def is_long(word):\n    return len(word) > 5\n"
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = load_benchmark(str(tmp_path / "many.jsonl"))
    other = text(f"{opening} the largest one.")
    for common, leaks in ((3, 0), (10, 7)):
        rules = LikenessRules(common=common, share=0.6)
        assert len(list(Likeness("many", benchmark.tasks, rules).leaks(other))) == leaks


def test_a_text_about_the_very_task_is_found(tasks: str) -> None:
    report = decontaminate([text("nothing to see", question="Own/2")], [tasks], ONLY_TEXT)
    assert found(report) == {("one", "Own/2", "id")}


# Programs


def test_a_program_with_other_names_is_found(tasks: str) -> None:
    report = decontaminate([text(f"A solution:\n```python\n{RENAMED}```\n")], [tasks], ONLY_TEXT)
    assert found(report) == {("one", "Own/1", "program")}
    assert "spread" in report.leaks[0].evidence


FENCED_DOCSTRING = RENAMED.replace(
    '    """Say how far apart the digits lie."""\n', '    """Say it.\n\n    ```\n    x = 1\n    ```\n    """\n'
)


@pytest.mark.parametrize(
    "words",
    [
        FENCED_DOCSTRING,
        f"This is how it goes.\n{FENCED_DOCSTRING}",
        f"```python\nx = 1\n```\n{RENAMED}",
        f"```python\ndef other(a):\n    return a\n```\nIt is short for\n\n{RENAMED}\n```\nx = 2\n```\n",
        f"```python\ndef other(a:\n```\n{RENAMED}",
    ],
)
def test_a_fenced_block_hides_no_program_around_it(words: str, tasks: str) -> None:
    assert words != RENAMED
    report = decontaminate([text(words)], [tasks], ONLY_TEXT)
    assert found(report) == {("one", "Own/1", "program")}


def test_programs_in_a_text_are_found_once_each() -> None:
    assert programs_in(f"```python\n{CLEAN}```") == (CLEAN.strip(),)
    assert programs_in(CLEAN) == (CLEAN.strip(),)
    assert programs_in(f"Look:\n```\n{CLEAN}```\nThat is all.\n```\nx = 1\n```") == (CLEAN.strip(),)
    assert programs_in(f"Look:\n```\n{CLEAN}```\nor\n{REWRITTEN}") == (CLEAN.strip(), REWRITTEN.strip())


@pytest.mark.slow
def test_a_wrong_program_keeps_no_right_one_from_being_compared(tasks: str, cells: str) -> None:
    question, _, right = REWRITTEN.partition("\n")
    wrong = Fault(
        source=FaultSource.STUDENT, run="tries", sample_index=0, outcome=Outcome.ERROR, completion="    x = (\n"
    )
    raising = replace(wrong, completion="    return x\nraise ValueError\n")
    plain = made_lessons.lesson(f"{question}\n", right, task_id="A")
    lessons = []
    for place, fault in enumerate((wrong, raising)):
        shown = f"{plain.prompt}{fault.completion}# Mended:\n"
        mending = {"prompt": shown + plain.prompt, "mends": fault, "shown_characters": len(shown)}
        lessons += [
            replace(plain, task_id=f"shown {place}", **mending),
            replace(plain, task_id=f"beside {place}", fault=fault),
        ]
    report = decontaminate([text_of_lesson(lesson) for lesson in lessons], [tasks], sandbox=cells)
    assert len(report.left_out) == 4
    assert {leak.kind for leak in report.leaks} == {Kind.BEHAVIOUR}


@pytest.mark.parametrize(
    ("old", "new"),
    [("max(figures)", "len(figures)"), ("high - low", "high + low"), ("str(number)", "str(number + 1)")],
)
def test_a_program_that_does_something_else_is_not(old: str, new: str, tasks: str) -> None:
    assert decontaminate([text(RENAMED.replace(old, new))], [tasks], ONLY_TEXT).leaks == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("def f(a): return a % 2", "def g(b) -> int:\n    'doc'\n    pass\n    return (b % 2)", True),
        ("def f(a): return a % 2", "def f(a): return a % 3", False),
        ("def f(a): return f(a - 1)", "def g(x): return g(x - 1)", True),
        ("def f(a): return sorted(a, key=len)", "def f(key): return sorted(key, key=len)", True),
        ("def f(a): return max(a)", "def f(a): return min(a)", False),
        ("def f(a):\n  b: int = a\n  return b", "def f(a):\n  b = a\n  return b", True),
        ("def f(a, b): return a - b", "def f(a, b): return b - a", False),
    ],
)
def test_shapes(one: str, other: str, same: bool) -> None:
    (first,), (second,) = functions_of(one), functions_of(other)
    assert (first.shape == second.shape) is same


@pytest.mark.parametrize(
    "program",
    [
        "def f(:",
        "def f():\n  return " + "(" * 5000,
        "def f():\n  return " + "-" * 50_000 + "1",
        "def f():\n  return " + "a." * 50_000 + "b",
        "def f():\n  return 0x" + "f" * 20_000,
        "def f():\n  return '\\d\0'",
        "def " * 100_000,
        "```python\n" * 20_000,
        "@a\n" * 20_000,
    ],
    ids=["broken", "brackets", "signs", "dots", "long number", "null", "words", "fences", "decorators"],
)
def test_what_is_no_usable_python_ends_nothing(program: str, tasks: str) -> None:
    assert decontaminate([text(program)], [tasks], ONLY_TEXT).leaks == ()


# Behaviour


@pytest.mark.slow
def test_behaviour_is_compared_in_the_sandbox_and_nowhere_else(tasks: str, cells: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outside = f"import builtins\nbuiltins.was_here = True\nopen({str(mark)!r}, 'w').close()\n"
    texts = [
        text(REWRITTEN, "rewritten"),
        text(
            f"class Solution:\n    def gap(self, n):\n        return {REWRITTEN!r} and self.of(str(n))\n"
            "    def of(self, s):\n        return int(max(s)) - int(min(s))\n",
            "method",
        ),
        text(CLEAN, "clean"),
        text("def plus(x, y):\n    return x + y\n", "generic"),
        text("def f(w):\n    return len(w) >= 4\n", "accident"),
        text(f"{outside}{REWRITTEN}", "writes"),
    ]
    report = decontaminate(texts, [tasks], sandbox=cells)
    assert found(report) == {("rewritten", "Own/1", "behaviour"), ("method", "Own/1", "behaviour")}
    assert [(leak.text, leak.task_id) for leak in report.weak] == [("accident", "Own/2")]
    (checked,) = report.benchmarks
    assert checked.behaviour is not None
    assert checked.behaviour.generic == ("Own/3",)
    assert report.left_out == ("rewritten", "method")
    assert not mark.exists()
    assert not hasattr(builtins, "was_here")


@pytest.mark.slow
def test_hostile_programs_end_nothing_and_are_not_clean_when_they_cannot_be_asked(tasks: str, cells: str) -> None:
    texts = [
        text("def f(x):\n    while True:\n        pass\n", "loops"),
        text("import os\nos._exit(0)\n" + REWRITTEN, "leaves at once"),
        text("def f(x):\n    import os\n    os._exit(0)\n", "leaves when called"),
        text("def f(x):\n    return 'a' * 10 ** 9\n", "much"),
        text("class A:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return A()\n", "equals all"),
        text("def f(x):\n    raise SystemExit\n", "exits"),
    ]
    report = decontaminate(texts, [tasks], sandbox=cells)
    assert report.leaks == ()
    assert report.unanswered == ()  # they end at three tasks at most, which is answer enough


def test_a_function_that_always_ends_its_process_is_not_asked_for_ever() -> None:
    targets = [Target(task) for task in load_benchmark("ladder").tasks[:50]]
    cell = FakeSandbox(saying())
    candidate = Candidate(name="one", program=CLEAN, function="digits_sum", fewest=0, most=9)
    shortlist = Prober(cell, 1 << 30).about(targets)(candidate)
    assert len(cell.started) == MAX_DEATHS
    assert shortlist.possible == ()
    assert len(shortlist.unknown) == len(targets) - MAX_DEATHS
    assert "ended its process" in shortlist.reason
    assert not shortlist.machine_failed


def test_a_machine_that_fails_makes_nothing_clean() -> None:
    targets = [Target(task) for task in load_benchmark("ladder").tasks[:5]]
    candidate = Candidate(name="one", program=CLEAN, function="digits_sum", fewest=0, most=9)
    shortlist = Prober(FakeSandbox(Script(lost=True)), 1 << 30).about(targets)(candidate)
    assert (shortlist.possible, len(shortlist.unknown)) == ((), len(targets))
    assert "the machine failed" in shortlist.reason
    assert shortlist.machine_failed


@pytest.mark.parametrize("lost", ["__asked__", "digit_gap ="], ids=["when it is asked", "when it is judged"])
def test_what_the_machine_could_not_find_out_is_told_from_what_a_text_hides(
    tasks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    right = saying('["v",6]', '["v",0]', '["v",9]', '["v",true]', '["v",true]')
    cells = FakeSandbox(lambda program: Script(lost=True) if lost in program.source else right)
    monkeypatch.setattr("harness.solvers.open_cells", lambda *_: cells)
    report = decontaminate([text(REWRITTEN)], [tasks])
    assert {(one.name, one.task_id) for one in report.machine_failures} >= {("one", "Own/1")}
    assert report.machine_failures == report.unanswered
    assert (report.left_out, report.leaking) == (("one",), frozenset())

    (tmp_path / "in.jsonl").write_text(json.dumps({"text": REWRITTEN}) + "\n")
    ran = run(tmp_path / "in.jsonl", "--tasks", tasks, "--out", tmp_path / "out.jsonl")
    assert isinstance(ran.exception, MeasurementInvalid)
    assert not (tmp_path / "out.jsonl").exists()  # it would lack what may be clean
    assert run(tmp_path / "in.jsonl", "--tasks", tasks).exit_code == 3


def test_a_text_that_ends_every_process_hides_and_is_no_failure_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [TASKS[0] | {"task_id": f"Own/{n}"} for n in range(MAX_DEATHS + 1)]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr("harness.solvers.open_cells", lambda *_: FakeSandbox(saying()))
    report = decontaminate([text(REWRITTEN)], [str(tmp_path / "many.jsonl")])
    assert [one.task_id for one in report.unanswered] == [f"Own/{MAX_DEATHS}"]
    assert report.machine_failures == ()
    assert report.left_out == ("one",)


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        (["true", "true", "true"], 0.0),
        (["true", "false"] * 4, 8.0),
        (["12", "345", "6"], 6 + 9 + 3),
        (['"a long text"', '"a long text"'], 16.0),
        ([], 0.0),
    ],
)
def test_bits_count_what_no_accident_gives(values: list[str], bits: float) -> None:
    assert bits_of([f'["v",{value}]'.encode() for value in values]) == bits


def test_candidates_are_functions_that_can_be_called_from_outside() -> None:
    program = (
        "def a(x, y=1): return x\ndef b(*xs): return xs\ndef c(*, k): return k\nasync def d(): pass\n"
        "class S:\n    def __init__(self): pass\n    def m(self, x): return x\n    def n(self, x): return x\n"
    )
    listed = {(one.function, one.fewest, one.most) for one in candidates_of([text(program)])}
    assert listed == {("a", 1, 2), ("b", 0, 99), ("S().m", 1, 1), ("S().n", 1, 1)}


# Files, and the command


ROWS: list[dict[str, Any]] = [
    {"prompt": "Say hello.", "completion": "def hello():\n    return 'hello'\n", "level": 3},
    {"text": DESCRIPTION, "task_id": 7, "source": {"a": [1]}},
    {"messages": [{"role": "user", "content": "How?"}, {"role": "assistant", "content": f"```py\n{RENAMED}```"}]},
    {"prompt": [{"role": "user", "content": "x"}], "completion": [{"role": "assistant", "content": CLEAN}], "id": "q"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with each format; the second and the third line leak."""
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def run(*words: object) -> Any:
    return CliRunner().invoke(click.Group(commands={"decontaminate": command}), ["decontaminate", *map(str, words)])


def test_every_format_is_read(file: Path) -> None:
    texts = read_texts(file).texts
    assert [one.name for one in texts] == ["line 1", "line 2: 7", "line 3", "line 4: q"]
    assert [len(one.programs) for one in texts] == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"prompt": "a"}', 'needs "messages"'),
        ('{"text": 3}', "is no string"),
        ('{"messages": [{"role": "user"}]}', "is no string"),
        ('{"messages": []}', "no text"),
    ],
)
def test_a_line_that_is_none_is_named(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"text": "fine"}\n' + line + "\n")
    with pytest.raises(UsageError, match=f"line 2: .*{said}"):
        read_texts(tmp_path / "bad.jsonl")


def test_the_command_finds_leaks(file: Path, tasks: str) -> None:
    ran = run(file, "--tasks", tasks, "--no-run")
    assert ran.exit_code == 1, ran.output
    assert "'line 2: 7' gives Own/1 away (ngrams)" in ran.stdout
    assert "'line 3' gives Own/1 away (program)" in ran.stdout
    assert "2 of 4 texts to leave out" in ran.stdout


def test_the_command_writes_clean_lines_as_they_stand(file: Path, tasks: str, tmp_path: Path) -> None:
    clean = tmp_path / "clean.jsonl"
    ran = run(file, "--tasks", tasks, "--no-run", "--out", clean, "--json")
    assert ran.exit_code == 0, ran.output
    lines = file.read_bytes().splitlines(keepends=True)
    assert clean.read_bytes() == lines[0] + lines[3]
    written = json.loads(ran.stdout)
    assert written["left_out"] == ["line 2: 7", "line 3"]
    assert written["rules"]["likeness"] == {"n": 5, "share": 0.8, "common": 10, "least_nodes": 15}
    assert [leak["task_id"] for leak in written["leaks"]] == ["Own/1", "Own/1"]
    assert written["benchmarks"][0]["digest"] == load_benchmark(tasks).digest
    again = run(clean, "--tasks", tasks, "--no-run")
    assert (again.exit_code, "0 of 2 texts to leave out" in again.stdout) == (0, True)


def test_where_nothing_can_be_written_is_said_before_anything_is_compared(file: Path, tmp_path: Path) -> None:
    was = file.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(file)
    for out, said in (
        (file, "is the file that is read"),
        (tmp_path / "link.jsonl", "is the file that is read"),
        (tmp_path / "away" / "clean.jsonl", "a folder that is there"),
        (file / "clean.jsonl", "a folder that is there"),
        (tmp_path, "cannot write"),
    ):
        ran = run(file, "--tasks", "no such tasks", "--out", out)
        assert isinstance(ran.exception, UsageError), ran.exception
        assert said in str(ran.exception)
    assert file.read_bytes() == was


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_text_that_is_no_unicode_is_told_like_any_other(options: tuple[str, ...], tasks: str, tmp_path: Path) -> None:
    rows = [{"text": f"\ud800 {DESCRIPTION} \ud800", "id": "\udfff"}, {"text": "\ud800", "id": "b"}]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run(tmp_path / "odd.jsonl", "--tasks", tasks, "--no-run", "--out", tmp_path / "clean.jsonl", *options)
    assert ran.exit_code == 0, ran.output
    assert "\\udfff" in ran.stdout
    assert (tmp_path / "clean.jsonl").read_text() == json.dumps(rows[1]) + "\n"


# Real data


def mbpp_train(folder: Path, tests: int) -> list[TrainingText]:
    rows = [json.loads(line) for line in (folder / "mbpp.jsonl").read_text(encoding="utf-8").splitlines()]
    return [
        TrainingText(
            name=f"Mbpp/{row['task_id']}",
            text="\n".join([row["text"], *row["test_list"][:tests], row["code"]]),
            programs=programs_in(row["code"]),
        )
        for row in rows
        if row["task_id"] > 600
    ]


@pytest.mark.slow
@pytest.mark.data
def test_the_tasks_that_mbpp_train_shares_with_mbpp_plus_are_found(published_data: Path) -> None:
    texts = mbpp_train(published_data, tests=3)
    known = {text.name for text in texts} & {task.task_id for task in load_benchmark("mbpp+").tasks}
    assert len(known) == 108
    report = decontaminate(texts, ["mbpp+"], ONLY_TEXT)
    same = {leak.text for leak in report.leaks if leak.text == leak.task_id}
    assert len(same & known) >= 102  # EvalPlus has put the others into other words and given them other arguments
    named = [TrainingText(name=one.name, text=one.text, programs=one.programs, question=one.name) for one in texts]
    by_id = {leak.task_id for leak in decontaminate(named, ["mbpp+"], ONLY_TEXT).leaks if leak.kind is Kind.ID}
    assert by_id == known


@pytest.mark.slow
@pytest.mark.data
def test_clean_data_is_left_alone(published_data: Path) -> None:
    report = decontaminate(mbpp_train(published_data, tests=3), ["humaneval", "ladder"], ONLY_TEXT)
    # The program of MBPP's staircase is that of HumanEval's Fibonacci numbers but for names.
    assert found(report) == {("Mbpp/960", "HumanEval/55", "program")}
    lines = (published_data / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:1000]
    rows = [json.loads(line) for line in lines]
    gsm8k = [text(f"{row['question']}\n{row['answer']}", f"gsm8k {n}") for n, row in enumerate(rows)]
    assert decontaminate(gsm8k, ["humaneval", "mbpp+"], ONLY_TEXT).leaks == ()


# The loop


@pytest.mark.slow
def test_a_lesson_that_leaks_is_left_out_of_a_round_or_ends_it(tasks: str, cells: str, tmp_path: Path) -> None:
    def lesson(task_id: str, program: str) -> Lesson:
        head, body = program.split("\n", 1)
        return made_lessons.lesson(head + "\n", body, task_id=task_id)

    def compared(fail: bool) -> ComparedLessons:
        plain = {"student": "s", "teacher": {"model": "t"}, "tasks": tasks, "training": {"steps": 1, "batch_size": 1}}
        config = msgspec.convert({**plain, "questions": {"fail_on_leak": fail}}, LoopConfig)
        machine = Machine(sandbox=cells, workers=2, progress=NoProgress, say=print)
        runs = RoundRuns(config=config, folder=tmp_path, student="s", seed=1, machine=machine)
        return compared_with_tests(runs, [lesson("A", REWRITTEN), lesson("B", CLEAN)])

    found = compared(fail=False)
    assert [one.task_id for one in found.clean] == ["B"]
    assert (found.leaking, found.not_comparable) == (1, 0)
    written = json.loads((tmp_path / DECONTAMINATION).read_bytes())
    assert written["left_out"] == ["answers/A[0]"]
    assert [(leak["task_id"], leak["kind"]) for leak in written["leaks"]] == [("Own/1", "behaviour")]
    with pytest.raises(LeakageError, match=r"A\[0\] gives a test away"):
        compared(fail=True)
