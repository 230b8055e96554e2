"""GSM8K: its labels, splits and tiers, how a number is judged, how it is asked, and what a report says of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeSandbox, InProcessSandbox, Script, saying
from scripted import Scripted

import harness
from harness.benchmarks import gsm8k, load_benchmark
from harness.benchmarks.data import JsonRecord
from harness.benchmarks.gsm8k_worked import worked_program
from harness.benchmarks.shots import with_shots
from harness.cli import main
from harness.errors import DataMissing, SamplesError, StoreMismatch, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.fingerprint import fingerprint
from harness.hardcoded import Hardcoded
from harness.judge import Judge
from harness.numeric import is_exact, is_near, number_of
from harness.protocols import rules_for
from harness.protocols.ekt_3shot import SHOTS
from harness.records import Benchmark, NumberTests, Outcome, Sample, StopReason, Task, Verdict, to_json
from harness.repeat import see_that_it_is_the_same
from harness.report import Tally
from harness.resolving import resolve
from harness.selfcheck import COMPUTED
from harness.sources import Decoding, _from_model
from harness.store import RUN
from harness.tiers import static_tiers
from sandbox import Limits, Sandbox, SandboxError, Status, hostile_programs, open_sandbox

LIMITS = Limits(cpu_seconds=0.3, wall_seconds=5.0, memory_bytes=256 << 20)
KINDS = [pytest.param("docker", marks=pytest.mark.docker), "local"]
LINE = {"question": "Two and two?", "answer": "It is <<2+2=4>>4.\n#### 4"}


def record(**fields: object) -> JsonRecord:
    return JsonRecord(place="mine.jsonl, line 3", fields={**LINE, **fields})


def task_of(expected: str | int = 72, prompt: str = "# How many?\n") -> Task:
    tests = NumberTests(expected=Fraction(expected))
    return Task(task_id="GSM8K/test/0", prompt=prompt, entry_point="answer", reference="", tests=tests)


def sample_of(program: str, **changes: Any) -> Sample:
    whole = {"completion": program, "program": program, "stop_reason": StopReason.STOP} | changes
    return Sample(task_id="GSM8K/test/0", sample_index=0, **whole)


def judged(
    sandbox: Sandbox, program: str, expected: str | int = 72, limits: Limits = LIMITS, **changes: Any
) -> Verdict:
    return Judge(sandbox, limits).judge(task_of(expected), sample_of(program, **changes))


# The data


@pytest.fixture(scope="module")
def splits(data_dir: Path) -> dict[str, Benchmark]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_DATA", str(data_dir))
        return {"test": gsm8k.load(), "dev": gsm8k.load_dev(), "train": harness.gsm8k_train()}


def questions(benchmark: Benchmark) -> set[str]:
    return {task.statement.description for task in benchmark.tasks if task.statement}


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_every_published_line_has_a_label_and_is_in_one_split(splits: dict[str, Benchmark]) -> None:
    assert {name: len(one.tasks) for name, one in splits.items()} == {"test": 1319, "dev": 500, "train": 6973}
    for name, one in splits.items():
        assert {task.split for task in one.tasks} == {name}
        assert all(isinstance(task.tests, NumberTests) and task.entry_point == "answer" for task in one.tasks)
    tasks = [task for one in splits.values() for task in one.tasks]
    assert len({task.task_id for task in tasks}) == len(tasks) == 8792
    assert not questions(splits["train"]) & (questions(splits["dev"]) | questions(splits["test"]))
    assert len(questions(splits["train"]) | questions(splits["dev"])) == 7473


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_labels_are_the_numbers_behind_the_mark(splits: dict[str, Benchmark], data_dir: Path) -> None:
    lines = (data_dir / "gsm8k_test.jsonl").read_text(encoding="utf-8").splitlines()
    for task, line in zip(splits["test"].tasks, lines, strict=False):
        assert isinstance(task.tests, NumberTests)
        assert (
            f"{task.tests.expected.numerator:,}" == f"{int(json.loads(line)['answer'].split()[-1].replace(',', '')):,}"
        )
    labels = [
        task.tests.expected for one in splits.values() for task in one.tasks if isinstance(task.tests, NumberTests)
    ]
    assert (min(labels), max(labels), labels.count(Fraction(0))) == (-47, 192_000_000, 1)
    assert sum(label < 0 for label in labels) == 5
    assert all(label.denominator == 1 for label in labels)


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_the_dev_split_never_changes(splits: dict[str, Benchmark]) -> None:
    assert [task.task_id for task in splits["dev"].tasks][:4] == DEV_BEGINS
    assert gsm8k.DEV_SEED in splits["dev"].source
    assert splits["dev"].digest == splits["train"].digest != splits["test"].digest


DEV_BEGINS = ["GSM8K/train/13", "GSM8K/train/15", "GSM8K/train/38", "GSM8K/train/42"]


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_tiers_are_the_benchmarks_own(splits: dict[str, Benchmark]) -> None:
    tiers = static_tiers(splits["test"])
    assert tiers.source.kind is harness.TierKind.OWN
    assert Counter(tiers.by_task().values()) == {"easy": 427, "medium": 662, "hard": 230}


@pytest.mark.parametrize(
    ("label", "number"),
    [("72", 72), ("-7", -7), ("0", 0), ("1,450,000", 1_450_000), ("0.5", Fraction(1, 2)), ("-1,234.50", "-1234.5")],
)
def test_labels(label: str, number: str | int | Fraction) -> None:
    assert gsm8k.label_of(record(), f"So it is.\n#### {label}") == Fraction(number)
    assert gsm8k.label_of(record(), f"#### {label}\n") == Fraction(number)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "72",
        "#### ",
        "#### seventy",
        "####72",
        "#### 1,00",
        "#### 72\nor 73",
        "#### $72",
        "#### 5%",
        "#### \u0667",
        "x #### 7",
    ],
)
def test_a_line_without_a_label_is_refused(answer: str) -> None:
    with pytest.raises(SamplesError, match=r"mine.jsonl, line 3: 'answer' must end in a line like '#### 72'"):
        gsm8k.task_from(record(answer=answer), "test", 0, "test")


def test_a_blank_question_is_refused() -> None:
    with pytest.raises(SamplesError, match="line 3: 'question' is blank"):
        gsm8k.task_from(record(question=" "), "test", 0, "test")


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_worked_solutions_are_programs_that_compute_the_label(splits: dict[str, Benchmark]) -> None:
    made = {name: [task for task in one.tasks if task.reference] for name, one in splits.items()}
    assert {name: len(tasks) for name, tasks in made.items()} == {"test": 1204, "dev": 460, "train": 6531}
    for task in made["test"] + made["dev"]:
        names: dict[str, Any] = {}
        exec(task.reference, names)  # arithmetic alone: see gsm8k_worked
        assert isinstance(task.tests, NumberTests)
        number = number_of(names["answer"])
        assert number is not None
        assert is_exact(number, task.tests.expected), task.reference
        assert task.reference.startswith(task.prompt)


@pytest.mark.parametrize(
    ("solution", "program"),
    [
        ("<<48/2=24>> and <<48+24=72>>", "n0 = 48\nn1 = 2\nt0 = n0 / n1\nanswer = n0 + t0\n"),
        ("<<360*20%=72>>", "n0 = 360\nn1 = 20\nn2 = 100\nanswer = n0 * (n1 / n2)\n"),
        ("<<1,000-$928=72>>", "n0 = 1000\nn1 = 928\nanswer = n0 - n1\n"),
        ("<<-.5*-144=72>>", "n0 = 0.5\nn1 = 144\nanswer = -n0 * -n1\n"),
        ("<<72=72>>", "n0 = 72\nanswer = n0\n"),
        ("<<70+1=72>>", ""),
        ("no step", ""),
        ("<<x+1=72>>", ""),
        ("<<72//1=72>>", ""),
        ("<<8**2=72>>", ""),
        ("<<9**9**9**9=72>>", ""),
        ("<<72/0=72>>", ""),
        ("<<(72=72>>", ""),
        ("<<72;n0=72>>", ""),
        (f"<<{'(' * 100}72{')' * 100}=72>>", ""),
        (f"<<{'1+' * 5000}1=72>>", ""),
    ],
)
def test_a_worked_solution_becomes_a_program_where_it_is_arithmetic(solution: str, program: str) -> None:
    assert worked_program(solution, Fraction(72)) == program


@pytest.mark.parametrize(
    ("solution", "tier"),
    [
        ("<<1=1>> <<2=2>>\n#### 2", "easy"),
        ("<<1=1>>" * 3, "medium"),
        ("<<1=1>>" * 5, "hard"),
        ("a\nb\nc\n#### 1", "medium"),
    ],
)
def test_tiers_go_by_steps(solution: str, tier: str) -> None:
    assert gsm8k.tier_of(solution) == tier


def test_a_question_of_two_lines_is_one_comment() -> None:
    assert gsm8k.commented("One\r\nimport os?") == "# One import os?\n"


def test_without_the_file_the_message_says_which_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.setenv("HARNESS_OFFLINE", "1")
    for name, file in (("gsm8k", "gsm8k_test.jsonl"), ("gsm8k-dev", "gsm8k_train.jsonl")):
        with pytest.raises(DataMissing, match=f"{name} needs {file}, .*HARNESS_DATA"):
            load_benchmark(name)
    (tmp_path / "gsm8k_train.jsonl").write_text(json.dumps(LINE))
    with pytest.raises(SamplesError, match="1 questions are too few: 500 of them are the dev split"):
        load_benchmark("gsm8k-dev")


# The rules


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (72, 72),
        (72.5, Fraction(145, 2)),
        (Decimal("0.1"), Fraction(1, 10)),
        (Fraction(1, 3), Fraction(1, 3)),
        (10**4000, 10**4000),
        *(
            (value, None)
            for value in (True, None, "72", 72j, [72], float("nan"), float("inf"), Decimal("NaN"), Decimal("-Inf"))
        ),
    ],
)
def test_what_is_a_number(value: object, number: int | Fraction | None) -> None:
    assert number_of(value) == number


@pytest.mark.parametrize(
    ("value", "label", "near", "exact"),
    [
        (72, 72, True, True),
        (0.1 + 0.2, "0.3", True, True),
        (17.999999999999996, 18, True, True),
        (72.5, 72, True, False),
        (71.29, 72, True, False),
        (71.27, 72, False, False),
        (101, 100, False, False),
        (100.9999, 100, True, False),
        (191_999_999, 192_000_000, True, False),
        (-7, -7, True, True),
        (-7.01, -7, False, False),
        (0, 0, True, True),
        (1e-8, 0, True, False),
        (2e-7, 0, False, False),
        (10**4000, 72, False, False),
    ],
)
def test_two_rules(value: int | float, label: str | int, near: bool, exact: bool) -> None:
    number = number_of(value)
    assert number is not None
    assert (is_near(number, Fraction(label)), is_exact(number, Fraction(label))) == (near, exact)


# Judged


@pytest.fixture(scope="module", params=KINDS)
def cell(request: pytest.FixtureRequest, require: Any) -> Iterator[Sandbox]:
    try:
        pool = open_sandbox(request.param, LIMITS, 1)
    except SandboxError as error:
        require(False, f"{request.param} cells: {error}")
        raise
    with closing(pool):
        yield pool


EQUAL = """
class E({base}):
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = None
    __sub__ = __rsub__ = __truediv__ = __abs__ = __neg__ = lambda self, *others: self
    __float__ = lambda self: 72.0
    __int__ = __index__ = lambda self: 72
answer = E({value})
"""
PROGRAMS = {
    "answer = 48 + 48 // 2\n": (Outcome.PASSED, True),
    "def f():\n    global answer\n    answer = 144 / 2\nf()\n": (Outcome.PASSED, True),
    "answer = 72.5\n": (Outcome.PASSED, False),
    "from fractions import Fraction\nanswer = Fraction(144, 2)": (Outcome.PASSED, True),
    "from decimal import Decimal\nanswer = Decimal('72.00')": (Outcome.PASSED, True),
    "class N(int): pass\nanswer = N(72)": (Outcome.PASSED, True),
    "answer = 73": (Outcome.FAILED, False),
    "answer = True": (Outcome.FAILED, False),
    "answer = '72'": (Outcome.FAILED, False),
    "answer = [72]": (Outcome.FAILED, False),
    "answer = None": (Outcome.FAILED, False),
    "answer = 72 + 0j": (Outcome.FAILED, False),
    "answer = float('nan')": (Outcome.FAILED, False),
    "answer = float('inf')": (Outcome.FAILED, False),
    "answer = 7 ** 100000": (Outcome.FAILED, False),
    "answer = 1 << 3000000": (Outcome.FAILED, False),
    "answer = 'x' * 1000000": (Outcome.FAILED, False),
    "answer = lambda: 72": (Outcome.FAILED, False),
    "answer = print": (Outcome.FAILED, False),
    EQUAL.format(base="object", value=""): (Outcome.FAILED, False),
    EQUAL.format(base="int", value=8): (Outcome.FAILED, False),
    EQUAL.format(base="float", value="8.0"): (Outcome.FAILED, False),
    EQUAL.format(base="complex", value="8.0"): (Outcome.FAILED, False),
    EQUAL.format(base="str", value="'72'"): (Outcome.FAILED, False),
    "print(72)": (Outcome.ERROR, False),
    "result = 72": (Outcome.ERROR, False),
    "answer = 72\ndel answer": (Outcome.ERROR, False),
    "answer = 1 / 0": (Outcome.ERROR, False),
    "answer = 72\nraise ValueError('after all')": (Outcome.ERROR, False),
    "answer = (": (Outcome.SYNTAX, False),
    "answer = 72\nimport os\nos._exit(0)": (Outcome.CRASHED, False),
    "answer = 72\nwhile True: pass": (Outcome.TIMEOUT, False),
    "import os\nanswer = 8\nos.write(3, b'[\"v\",72]\\n')": (Outcome.TAMPERED, False),
    'import os\nos.write(3, b\'["ok"]\\n["v",72]\\n\')\nanswer = 8': (Outcome.TAMPERED, False),
}


@pytest.mark.slow
def test_a_pass_needs_the_number_and_an_end(cell: Sandbox) -> None:
    verdicts = {program: judged(cell, program) for program in PROGRAMS}
    assert {program: (one.outcome, one.exact_passed) for program, one in verdicts.items()} == PROGRAMS
    assert not any(one.hardcoded for one in verdicts.values())


@pytest.mark.slow
def test_no_program_of_the_hostile_suite_passes_that_does_not_compute_the_number(cell: Sandbox) -> None:
    ending = COMPUTED.reference.removeprefix(COMPUTED.reference.partition("answer =")[0])
    attacks = [one for one in hostile_programs() if one.item[0] == "T" and len(one.judged_by) > 1 and not one.reported]
    passed = set()
    for attack in attacks:
        sample = replace(sample_of(attack.source_on({}) + ending), task_id=COMPUTED.task_id)
        if Judge(cell, LIMITS).judge(COMPUTED, sample).passed:
            passed.add(attack.name)
    assert len(attacks) > 50
    assert passed == COMPUTES
    honest = replace(sample_of(COMPUTED.reference), task_id=COMPUTED.task_id)
    assert Judge(cell, LIMITS).judge(COMPUTED, honest).passed


# They return the sum of the first two numbers, and attack what follows: one number has no second call.
COMPUTES = {
    "answers right while each input is new, and then no more",
    "raises when an input comes again",
    "answers something else when an input comes again",
    "never answers when an input comes again",
    "answers the first call right and the others wrong",
    "one answer too many, right at the end",
}


@pytest.mark.slow
def test_numbers_of_numpy_are_numbers(cell: Sandbox) -> None:
    limits = replace(LIMITS, cpu_seconds=3.0)
    if judged(cell, "import numpy\nanswer = 72", limits=limits).outcome is Outcome.ERROR:
        pytest.skip("no numpy in this cell")
    for program, outcome in (
        ("answer = numpy.float32(72)", Outcome.PASSED),
        ("answer = numpy.int64(72)", Outcome.PASSED),
        ("answer = numpy.bool_(True)", Outcome.FAILED),
    ):
        assert judged(cell, f"import numpy\n{program}", limits=limits).outcome is outcome


def test_the_right_number_never_reaches_the_programs_process() -> None:
    sandbox = InProcessSandbox()
    assert judged(sandbox, "answer = 7 * 11 * 13", 1001).passed
    assert [one.plan for one in sandbox.started] == [b'[["value",{"n":"answer"},[],{}]]']
    assert sandbox.started[0].plan is (judged(sandbox, "answer = 1", 1001), sandbox.started[1].plan)[1]


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        (saying('["v",72]'), Outcome.PASSED),
        (saying('["v",72]', '["v",72]'), Outcome.TAMPERED),
        (saying('["v",{"o":[0,"int"]}]'), Outcome.FAILED),
        (saying('["v",{"t":[72]}]'), Outcome.FAILED),
        (saying('["v",72,72]'), Outcome.TAMPERED),
        (saying('["v",{"Fraction":[72,0]}]'), Outcome.TAMPERED),
        (saying('["v",{"Decimal":"1e999999"}]'), Outcome.TAMPERED),
        (saying("72"), Outcome.TAMPERED),
        (saying('["h","00"]'), Outcome.FAILED),
        (saying('["x","value too large"]'), Outcome.OUTPUT_LIMIT),
        (saying('["e","MemoryError","MemoryError","",1]'), Outcome.ERROR),
        (saying('["v",NaN]'), Outcome.FAILED),
        (saying('["v",' + "7" * 300_000 + "]"), Outcome.FAILED),
        (saying(), Outcome.CRASHED),
        (Script(lines=(b'["v",72]', b'["v",72]')), Outcome.TAMPERED),
        (Script(), Outcome.CRASHED),
        (replace(saying('["v",72]'), status=Status.TIMED_OUT), Outcome.TIMEOUT),
        (Script(lost=True), Outcome.NOT_JUDGED),
    ],
)
def test_what_replies_come_to(script: Script, outcome: Outcome) -> None:
    verdict = judged(FakeSandbox(script), "answer = 72")
    assert verdict.outcome is outcome
    assert verdict.exact_passed is (None if outcome is Outcome.NOT_JUDGED else outcome is Outcome.PASSED)


def test_evidence_shows_both_numbers() -> None:
    evidence = judged(InProcessSandbox(), "answer = 3.5").evidence
    assert (evidence.reason, evidence.expected, evidence.actual) == ("another number", "72", "3.5")
    assert judged(InProcessSandbox(), "answer = '72'").evidence.reason == "no number, but str"


def test_an_answer_that_was_cut_off_or_is_blank_says_so() -> None:
    assert judged(InProcessSandbox(), "n0 = 1", stop_reason=StopReason.LENGTH).outcome is Outcome.TRUNCATED
    assert judged(InProcessSandbox(), "# How many?\n", completion=" ").outcome is Outcome.NO_CODE


def test_a_program_that_is_just_the_number_is_not_called_hardcoded() -> None:
    """No prompt shows the number: whoever writes it has computed it or knows the data, and one cannot tell which."""
    verdict = judged(InProcessSandbox(), "answer = 191999\n", 191_999)
    assert verdict.passed
    assert not verdict.hardcoded
    table = "table = {'a': 191999, 'b': 54321, 'c': 777123, 'd': 991231}\nanswer = table['a']\n"
    assert not Hardcoded(lambda task: [])(task_of(191_999), table)


# Reported


def verdicts(task: str, outcomes: str) -> Iterator[Verdict]:
    """Yield a verdict per letter: e exact, n near, w wrong."""
    for index, letter in enumerate(outcomes):
        done = judged(InProcessSandbox(), {"e": "answer = 72", "n": "answer = 72.5", "w": "answer = 1"}[letter])
        yield replace(done, task_id=task, sample_index=index)


def test_both_rules_are_in_the_report_for_each_k() -> None:
    tally = Tally()
    for task, outcomes in {"A": "ennw" * 25, "B": "w" * 100}.items():
        for verdict in verdicts(task, outcomes):
            tally.add_verdict(verdict)
    found = {name: one.value for name, one in tally.metrics().items()}
    assert found.keys() == {"exact_pass@1", "exact_pass@10", "exact_pass@100"}
    assert found["exact_pass@1"] == pytest.approx(0.125)
    assert found["exact_pass@100"] == 0.5
    assert tally.passed == {"A": 75, "B": 0}


def test_where_nothing_passes_the_exact_rule_says_so_too() -> None:
    tally = Tally()
    for verdict in verdicts("A", "w"):
        tally.add_verdict(verdict)
    assert tally.metrics()["exact_pass@1"].value == 0.0


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.usefixtures("published_data")
def test_an_evaluation_of_samples_reports_both_rules(tmp_path: Path) -> None:
    tasks = load_benchmark("gsm8k").tasks[:4]
    texts = ["answer = 16 - 3 - 4\nanswer = answer * 2\n", "answer = 3.02\n", "answer = 1\n", "print(540)\n"]
    lines = [json.dumps({"task_id": t.task_id, "completion": text}) for t, text in zip(tasks, texts, strict=True)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    out = tmp_path / "run"
    ran = harness_eval(
        *("--tasks", "gsm8k", "--samples", tmp_path / "mine.jsonl"), "--sandbox", "local", "--limit", 4, "--out", out
    )
    assert ran.exit_code == 0, ran.output
    report = json.loads((out / "report.json").read_text())
    assert report["outcomes"] == dict.fromkeys(report["outcomes"], 0) | {"passed": 2, "failed": 1, "error": 1}
    assert (report["pass_at_k"]["1"]["value"], report["metrics"]["exact_pass@1"]["value"]) == (0.5, 0.25)
    assert {tier["tier"] for tier in report["tiers"]} <= {"easy", "medium", "hard"}
    assert "exact pass@1" in ran.output


def harness_eval(*words: object) -> Result:
    return CliRunner().invoke(main, ["eval", *map(str, words)])


# Asked


def test_the_solved_questions_are_right_and_nobody_elses() -> None:
    answers = []
    for shot in SHOTS:
        names: dict[str, Any] = {}
        exec(shot.code, names)
        answers.append(names["answer"])
        assert "\n\n" not in shot.code
    assert answers == [312, 60, 70]


@pytest.mark.slow  # reading all of it takes a second or two
@pytest.mark.data
def test_the_solved_questions_are_not_in_the_data(splits: dict[str, Benchmark]) -> None:
    for one in splits.values():
        assert not {shot.description for shot in SHOTS} & questions(one)


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("n0 = 4\nanswer = n0\n\n# Next?\nanswer = 5\n", "n0 = 4\nanswer = n0\n"),
        ("answer = 4", "answer = 4"),
        ("answers = [4]\nanswer = 4\n", "answers = [4]\n"),
        ("n0 = 4\n", "n0 = 4\n"),
        ("the_answer = 4\nanswer = 3\nanswer = 4\n", "the_answer = 4\nanswer = 3\n"),
        ("", ""),
    ],
)
def test_a_program_ends_with_its_first_answer(completion: str, program: str) -> None:
    assert rules_for("ekt-3shot", "gsm8k").program(task_of(), completion) == f"# How many?\n{program}"


def test_canonical_is_refused_where_no_solution_is_a_program() -> None:
    benchmark = Benchmark(name="gsm8k", tasks=(task_of(),), digest="d", source="here")
    with pytest.raises(UsageError, match="gsm8k has no solutions that are programs, so canonical has nothing to say"):
        harness.sources.ReferenceModel(benchmark)


def test_canonical_answers_with_the_worked_programs_and_nothing_where_there_is_none() -> None:
    tasks = tuple(
        gsm8k.task_from(record(answer=answer), "test", n, "test")
        for n, answer in enumerate((LINE["answer"], "Four, of course.\n#### 4"))
    )
    benchmark = Benchmark(name="gsm8k", tasks=tasks, digest="d", source="here")
    source = _from_model(
        harness.sources.ReferenceModel(benchmark), benchmark, tasks, Decoding(), ("canonical", "reference")
    )
    judge = Judge(InProcessSandbox(), LIMITS)
    found = [judge.judge(task, sample) for task, sample in zip(tasks, source.samples(()), strict=True)]
    assert [one.outcome for one in found] == [Outcome.PASSED, Outcome.NO_CODE]
    assert found[0].exact_passed


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    path = tmp_path / "shots.jsonl"
    path.write_text(json.dumps({"question": "One and one?", "program": "answer = 1 + 1\n"}))
    return path


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """GSM8K of one question, in the place of the published file."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    (tmp_path / "gsm8k_test.jsonl").write_text(json.dumps(LINE))
    return load_benchmark("gsm8k")


def test_shots_of_ones_own_stand_in_the_prompt_and_in_run_json(small: Benchmark, shots: Path, tmp_path: Path) -> None:
    showing = with_shots(small, shots)
    prompt = "# One and one?\nanswer = 1 + 1\n\n# Two and two?\n"
    assert rules_for("default", "gsm8k").prompt(showing.tasks[0]) == prompt
    assert rules_for("default", "gsm8k").prompt(small.tasks[0]) != prompt
    model = Scripted(texts=("answer = 4\n",))
    runs = []
    for benchmark, file in ((small, None), (showing, shots)):
        config = EvalConfig(tasks=("gsm8k",), out=tmp_path, model="m", shots=file)
        source = _from_model(model, benchmark, benchmark.tasks, Decoding(), ("default", "hf"))
        runs.append(resolve(config, benchmark, source, None))
    assert runs[0].shots_digest == ""
    assert len(runs[1].shots_digest) == 64
    assert fingerprint(runs[0]) != fingerprint(runs[1])
    (tmp_path / RUN).write_text(to_json(runs[1]))
    with pytest.raises(StoreMismatch, match=r"shots_digest was '.*', now ''"):
        see_that_it_is_the_same(tmp_path, runs[0], small)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "holds no line: give it at least one solved question"),
        ('{"question": "x"}', "line 1: the key 'program' is missing"),
        ('{"question": " ", "program": "answer = 1"}', "line 1: 'question' is blank"),
        ('{"question": "x", "program": "print(1)"}', "line 1: 'program' must have a line that begins with 'answer ='"),
        ('{"question": "x", "program": "a = 1\\n\\n# so\\nanswer = a"}', "'program' has a comment behind a blank line"),
        (
            '{"question": "x", "program": "answer = 1", "shown_to": "A"}\n{"question": "x", "program": "answer = 1"}',
            "line 2: all lines have 'shown_to', or none",
        ),
        ('{"question": "x", "program": "answer = 1", "shown_to": "A"}', "names 'A', which is no task of 'gsm8k'"),
    ],
)
def test_shots_that_show_nothing_are_refused(small: Benchmark, tmp_path: Path, lines: str, problem: str) -> None:
    (tmp_path / "bad.jsonl").write_text(lines)
    with pytest.raises(UsageError, match=problem):
        with_shots(small, tmp_path / "bad.jsonl")


def test_each_task_can_be_shown_solved_questions_of_its_own(small: Benchmark, tmp_path: Path) -> None:
    two = replace(small, tasks=(*small.tasks, replace(small.tasks[0], task_id="second")))
    lines = [(small.tasks[0].task_id, "One?"), ("second", "Two?"), ("second", "Three?")]
    rows = [{"question": words, "program": "answer = 1", "shown_to": task_id} for task_id, words in lines]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [
        [shot.description for shot in task.statement.shots] for task in with_shots(two, path).tasks if task.statement
    ]
    assert said == [["One?"], ["Two?", "Three?"]]
    path.write_text(json.dumps(rows[0]))
    with pytest.raises(UsageError, match="no solved question for 'second': give each task a line"):
        with_shots(two, path)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"tasks": ("humaneval",)}, "--shots are solved questions for gsm8k, and 'humaneval' shows none"),
        ({"decoding": Decoding(protocol="ekt-0shot")}, "--shots changes no prompt of protocol 'ekt-0shot'"),
        ({"model": None, "samples": Path("x.jsonl")}, "solved questions .* are shown to a model"),
    ],
)
@pytest.mark.usefixtures("small")
def test_shots_that_could_change_nothing_are_refused(
    shots: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    asked = {"tasks": ("gsm8k",), "out": tmp_path, "model": "canonical", "shots": shots, **changes}
    with pytest.raises(UsageError, match=problem):
        evaluate(EvalConfig(**asked))


def test_the_option_reaches_the_prompt_also_of_a_run_that_is_done_again(
    small: Benchmark, shots: Path, tmp_path: Path
) -> None:
    config = EvalConfig(tasks=("gsm8k",), out=tmp_path, model="m")
    source = _from_model(Scripted(), small, small.tasks, Decoding(protocol="ekt-0shot"), ("ekt-0shot", "hf"))
    (tmp_path / RUN).write_text(to_json(resolve(config, small, source, None)))
    asked = ("--tasks", "gsm8k", "--model", "m", "--protocol", "ekt-0shot")
    for words in (asked, ("--repeat", tmp_path)):
        ran = harness_eval(*words, "--shots", shots, "--out", tmp_path / "other")
        assert isinstance(ran.exception, UsageError)
        assert "changes no prompt of protocol 'ekt-0shot'" in str(ran.exception)
