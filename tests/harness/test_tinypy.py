"""TinyPy: its grammar, what its programs print, what is made for training, and how answers are judged."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fakes import FakeSandbox, InProcessSandbox, Script, saying

from harness.benchmarks import load_benchmark
from harness.cells import NoCells
from harness.cli import main
from harness.difficulty import measure
from harness.errors import MeasurementInvalid, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.judge import Judge
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.protocols import rules_for
from harness.reasoning import ReasoningRule
from harness.records import Outcome, Report, Sample, StopReason, Task, TextRule, TextTests
from harness.sources import Decoding, _from_model
from harness.texts import edit_similarity, numbers_in
from harness.tinypy import Example, Level, Recipe, examples, key_of, keys_of_test_set, training_examples
from harness.tinypy.execution import LIMITS, run_programs
from harness.tinypy.grammar import DIGITS, VARIABLES, Writer
from harness.tinypy.testset import PATH, SEED, answer_characters, from_lines, make_test_set, to_lines
from harness.tinypy.training import _write
from sandbox import CellLost, Limits, SandboxClosed, SandboxError, dumps, examine, open_sandbox

ALPHABET = frozenset(VARIABLES + DIGITS + "+-*/=<>!():,#. \t\n")
GOLDEN = {
    Level.ASSIGN: "z = 9\nv = 5\nprint(z + z)",
    Level.ENCLOSED: "w = 1\np = 8\nh = 0\nprint(w + 1)",
    Level.BRANCH: "o = 1\ny = 4\nif o == 1 :\n\tprint(o)\nelse :\n\tprint(y)",
    Level.CHAIN: (
        "s = 5\nb = (s - s)+(s / s)\nif (b > s) and not (not b == s) :\n\tprint(s / b)\n"
        "elif not (not b > s) :\n\tprint(b * s)\nelse :\n\tprint(b * s)"
    ),
    Level.FOR: "g = 0\nfor g in range(6, 8) :\n\tprint(g)",
    Level.FOR_ENCLOSED: "n = 1\nj = 9\nf = 7\nm = 0 / 0\nfor f in range(7, 13, 3) :\n\tprint(f / f)",
    Level.WHILE: "p = 7\no = 8\no = 8\nwhile o >= 4 :\n\tprint(o)\n\to = o - 2",
}
# Halstead difficulty and Overall Metric of the authors' own files, counted in the same way.
AUTHORS = {
    Level.ASSIGN: (2.15, 1.58),
    Level.ENCLOSED: (2.54, 1.77),
    Level.BRANCH: (7.42, 4.88),
    Level.CHAIN: (11.44, 7.22),
    Level.FOR: (4.09, 3.05),
    Level.FOR_ENCLOSED: (5.34, 3.67),
}
KINDS = {
    Level.ASSIGN: set(),
    Level.ENCLOSED: set(),
    Level.BRANCH: {ast.If},
    Level.CHAIN: {ast.If},
    Level.FOR: {ast.For},
    Level.FOR_ENCLOSED: {ast.For},
    Level.WHILE: {ast.While},
}


def drawn(level: Level, number: int, seed: int = 0) -> list[str]:
    writer = Writer(level, seed)
    return [writer.program() for _ in range(number)]


def made(number: int, seed: int = 0, levels: tuple[Level, ...] = tuple(Level)) -> list[Example]:
    return list(examples(Recipe(count=number, levels=levels, seed=seed), InProcessSandbox()))


def really_printed(program: str) -> str | None:
    """Run a program with Python's own `print`, and return what came out."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            exec(program, {})
        except ZeroDivisionError:
            return None
    return output.getvalue().rstrip("\n")


# The grammar


@pytest.mark.parametrize(("level", "program"), GOLDEN.items())
def test_a_seed_gives_these_programs_for_ever(level: Level, program: str) -> None:
    assert drawn(level, 1) == [program]


def test_another_seed_gives_other_programs() -> None:
    first, second = set(drawn(Level.CHAIN, 300, 1)), set(drawn(Level.CHAIN, 300, 2))
    assert len(first & second) < 10


@pytest.mark.parametrize("level", Level)
def test_programs_are_of_their_level(level: Level) -> None:
    loops = {Level.FOR, Level.FOR_ENCLOSED, Level.WHILE}
    found: Counter[type[ast.AST]] = Counter()
    for program in drawn(level, 400):
        nodes = list(ast.walk(ast.parse(program)))
        found.update({type(node) for node in nodes})
        statements = {type(node) for node in nodes if isinstance(node, (ast.If, ast.For, ast.While))}
        assert statements == KINDS[level], program
        numbers = [node.value for node in nodes if isinstance(node, ast.Constant)]
        assert all(0 <= number <= (18 if level in loops else 9) for number in numbers), program
        assert {node.func.id for node in nodes if isinstance(node, ast.Call)} <= {"print", "range"}
        if level in loops:
            assert len((really_printed(program) or "0\n0").split("\n")) in (2, 3), program
    assert (ast.BoolOp in found) == (level is Level.CHAIN)
    assert (ast.Not in found) == (level in (Level.BRANCH, Level.CHAIN))
    assert (ast.BinOp in found) == (level not in (Level.BRANCH, Level.FOR))


@pytest.mark.parametrize("level", Level)
def test_every_variable_is_set_before_it_is_read(level: Level) -> None:
    for program in drawn(level, 400):
        really_printed(program)  # a NameError would come out of here


def test_the_alphabet_has_53_characters() -> None:
    used = {character for one in made(4000) for character in one.text}
    assert used - {"e"} <= ALPHABET
    assert len(ALPHABET) == 53
    assert ALPHABET - used == set()


@pytest.mark.slow
@pytest.mark.parametrize(("level", "means"), AUTHORS.items())
def test_levels_are_as_difficult_as_the_authors(level: Level, means: tuple[float, float]) -> None:
    measured = [measure(program) for program in set(drawn(level, 1500, seed=3))]
    assert fmean(one.halstead for one in measured if one) == pytest.approx(means[0], rel=0.06)
    assert fmean(one.overall for one in measured if one) == pytest.approx(means[1], rel=0.05)


@pytest.mark.slow
def test_the_families_fall_into_the_papers_tiers() -> None:
    means = {level: fmean(one.overall for one in map(measure, drawn(level, 600)) if one) for level in Level}
    tiers = {level: "easy" if mean < 2 else "medium" if mean < 4 else "hard" for level, mean in means.items()}
    families = {"1": "easy", "2": "hard", "3": "medium", "4": "medium"}
    assert tiers == {level: families[level[0]] for level in Level}


# Running them


def test_outputs_are_what_python_prints() -> None:
    programs = [program for level in Level for program in drawn(level, 150, seed=5)]
    outputs = list(run_programs(InProcessSandbox(), programs, batch=100))
    assert outputs == [really_printed(program) for program in programs]
    assert None in outputs
    assert "" in outputs


@pytest.fixture(scope="module")
def engine(require: Callable[[object, str], None]) -> None:
    require(any(one.ok for one in examine() if one.name == "docker"), "a Docker engine")


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
def test_outputs_in_a_cell_are_what_python_prints() -> None:
    with contextlib.closing(open_sandbox("docker", LIMITS, 2)) as sandbox:
        programs = [program for level in Level for program in drawn(level, 300, seed=6)]
        assert list(run_programs(sandbox, programs, batch=500)) == [really_printed(one) for one in programs]


def test_programs_are_taken_a_batch_ahead_and_no_more() -> None:
    taken = []

    def endless() -> Iterator[str]:
        for number in count():
            taken.append(number)
            yield f"print({number})"

    with contextlib.closing(run_programs(InProcessSandbox(), endless(), batch=10)) as outputs:
        assert list(islice(outputs, 15)) == [str(number) for number in range(15)]
    assert len(taken) <= 30


def test_a_lost_cell_is_tried_again_and_not_for_ever() -> None:
    answer = saying(dumps(["v", json.dumps(["1"])]))
    lost = Script(lines=(), lost=True)
    assert list(run_programs(FakeSandbox([lost, answer]), ["print(1)"])) == ["1"]
    with pytest.raises(MeasurementInvalid, match="lost its cell 3 times"):
        list(run_programs(FakeSandbox(lost), ["print(1)"]))


def test_a_machine_that_can_run_nothing_is_no_empty_corpus() -> None:
    with pytest.raises(SandboxError, match="no engine"):
        list(run_programs(FakeSandbox(Script(failure=SandboxError("no engine"))), ["print(1)"]))


@pytest.mark.parametrize(
    "reply",
    [["v", "[]"], ["v", '["1", "2"]'], ["v", "[1]"], ["v", ["1"]], ["e", "MemoryError", "MemoryError", "", None]],
)
def test_a_batch_that_comes_back_otherwise_is_refused(reply: list[Any]) -> None:
    with pytest.raises(MeasurementInvalid, match="came back as"):
        list(run_programs(FakeSandbox(saying(dumps(reply))), ["print(1)"]))


def test_a_batch_without_an_answer_is_refused() -> None:
    with pytest.raises(MeasurementInvalid, match="did not come to its end"):
        list(run_programs(FakeSandbox(saying()), ["print(1)"]))


# Examples for training


def test_an_example_reads_as_the_authors_have_it() -> None:
    loop = Example(level=Level.FOR, program="a = 1\nfor a in range(1, 3) :\n\tprint(a)", output="1\n2")
    silent = Example(level=Level.BRANCH, program="a = 1\nif a > 3 :\n\tprint(a)", output="")
    assert loop.text == "a = 1\nfor a in range(1, 3) :\n\tprint(a)\n# output\n# 1\n# 2\n\n"
    assert silent.text == "a = 1\nif a > 3 :\n\tprint(a)\n# output\n# \n\n"


def test_examples_are_as_many_as_asked_for_and_none_twice() -> None:
    one = made(3000, levels=(Level.ASSIGN, Level.ENCLOSED))  # where the same short programs come up again and again
    assert len({example.program for example in one}) == len(one) == 3000
    assert all(really_printed(example.program) == example.output for example in one[:300])
    assert Counter(example.level for example in one)[Level.ASSIGN] == pytest.approx(1500, rel=0.05)


def test_a_program_that_prints_nothing_is_an_example_and_one_that_raises_is_none() -> None:
    outputs = [example.output for example in made(300, levels=(Level.CHAIN,))]
    programs = drawn(Level.CHAIN, 400)
    printed = [output for output in map(really_printed, dict.fromkeys(programs)) if output is not None]
    assert outputs == printed[:300]
    assert "" in outputs


def test_a_recipe_gives_the_same_examples_whatever_runs_them() -> None:
    class Wide(InProcessSandbox):
        capacity = 3

    recipe = Recipe(count=700, seed=9)
    assert list(examples(recipe, Wide())) == list(examples(recipe, InProcessSandbox()))
    assert made(300, seed=9) == made(700, seed=9)[:300]
    assert made(300, seed=10) != made(300, seed=9)


def test_what_is_excluded_never_comes() -> None:
    before = made(400)
    keys = frozenset(key_of(example.program) for example in before)
    after = list(examples(Recipe(count=400), InProcessSandbox(), keys))
    assert {one.program for one in before} & {one.program for one in after} == set()


def test_the_test_set_is_not_trained_on_even_with_its_own_seed() -> None:
    test = {example.program for example in from_lines(PATH.read_bytes())}
    recipe = Recipe(count=250, levels=(Level.ASSIGN,), seed=SEED)
    assert test & {one.program for one in examples(recipe, InProcessSandbox())}
    assert not test & {one.program for one in examples(recipe, InProcessSandbox(), keys_of_test_set())}


def test_a_level_that_is_used_up_says_so() -> None:
    class All:
        def __contains__(self, key: object) -> bool:
            return True

    with pytest.raises(UsageError, match=r"level 3\.1 of TinyPy gave only 0 of 5"):
        list(examples(Recipe(count=5, levels=(Level.FOR,)), InProcessSandbox(), All()))


@pytest.mark.parametrize("recipe", [{"count": 0}, {"count": 1, "levels": ()}, {"count": 1, "levels": (Level.FOR,) * 2}])
def test_a_recipe_that_makes_no_sense_is_refused(recipe: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Recipe(**recipe)


def test_both_files_hold_the_same_examples() -> None:
    text, lines = io.StringIO(), io.StringIO()
    one = made(70)
    levels = _write(one, text, lines, 70)
    assert text.getvalue() == "".join(example.text for example in one)
    rows = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(row["level"], row["program"], row["output"]) for row in rows] == [
        (example.level, example.program, example.output) for example in one
    ]
    assert rows[0]["difficulty"] == pytest.approx(one[0].difficulty().overall, abs=1e-4)
    assert sum(level.programs for level in levels) == 70
    assert [level.level for level in levels] == list(Level)


def tinypy(*words: object) -> Result:
    return CliRunner().invoke(main, ["tinypy", *map(str, words)])


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
def test_what_is_made_for_training_leaves_the_test_set_out() -> None:
    recipe = Recipe(count=250, levels=(Level.ASSIGN,), seed=SEED)
    trained = {key_of(example.program) for example in training_examples(recipe, "docker")}
    assert len(trained) == 250
    assert not trained & keys_of_test_set()


@pytest.mark.docker
@pytest.mark.usefixtures("engine")
def test_the_command_writes_both_files_whole(tmp_path: Path) -> None:
    ran = tinypy("--count", 60, "--levels", "1.1,3.1", "--out", tmp_path / "new" / "train.txt", "--json")
    assert ran.exit_code == 0, ran.output
    written = json.loads(ran.stdout)
    assert [(one["level"], one["programs"]) for one in written["levels"]] == [("1.1", 30), ("3.1", 30)]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"train.txt", "train.jsonl"}
    assert (tmp_path / "new" / "train.txt").read_text().count("# output\n") == 60


@pytest.mark.parametrize("levels", ["9.9", "1.1,banana", "", "1.1,1.1"])
def test_the_command_refuses_unknown_levels(levels: str, tmp_path: Path) -> None:
    ran = tinypy("--levels", levels, "--out", tmp_path / "train")
    assert isinstance(ran.exception, UsageError)
    assert list(tmp_path.iterdir()) == []


def test_a_machine_that_fails_leaves_the_files_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / "train.txt").write_text("old")
    ran = tinypy("--sandbox", "docker", "--count", 5, "--out", tmp_path / "train")
    assert isinstance(ran.exception, SandboxError)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("train.txt", "old")]


# The test set and its tasks


def test_the_test_set_is_the_one_that_is_made() -> None:
    content = PATH.read_bytes()
    assert to_lines(make_test_set(InProcessSandbox())).encode() == content
    assert len(content) < 300_000


def test_the_test_set_has_200_programs_of_each_level_and_none_twice() -> None:
    test = from_lines(PATH.read_bytes())
    assert Counter(example.level for example in test) == dict.fromkeys(Level, 200)
    assert len({example.program for example in test}) == len(test)


def test_every_right_answer_fits_into_what_counts() -> None:
    for task in load_benchmark("tinypy-execution").tasks:
        tests = text_tests(task)
        answer = task.reference.removeprefix(task.prompt).rstrip("\n")
        assert len(answer) < tests.characters == (30 if "for" in task.prompt or "while" in task.prompt else 20)
        assert numbers_in(answer) == numbers_in(tests.expected) != []


def test_a_completion_task_is_one_line_of_its_program() -> None:
    tasks = load_benchmark("tinypy-completion").tasks
    for task in tasks:
        assert task.reference.startswith(task.prompt + text_tests(task).expected + "\n")
        assert task.prompt.endswith("\n")
    kinds = Counter(text_tests(task).expected.split()[0].split("(")[0] for task in tasks)
    assert {"print", "if", "else", "for", "while", "#"} <= set(kinds)


def text_tests(task: Task) -> TextTests:
    assert isinstance(task.tests, TextTests)
    return task.tests


def test_a_loop_has_more_characters_for_its_answer() -> None:
    assert answer_characters("a = 1\nfor a in range(1, 3) :\n\tprint(a)") == 30
    assert answer_characters("a = 1\nwhile a < 3 :\n\tprint(a)\n\ta = a + 1") == 30
    assert answer_characters("f = 1\nprint(f)") == 20


def test_prompts_are_the_bytes_of_the_program() -> None:
    for name, ending, stop in (("tinypy-execution", "\n# output", "\n\n"), ("tinypy-completion", "\n", "\n")):
        rules = rules_for("default", name)
        task = load_benchmark(name).tasks[500]
        assert rules.prompt(task) == task.prompt
        assert task.prompt.endswith(ending)
        assert rules.program(task, "\n# 1\t") == task.prompt + "\n# 1\t"
        assert (rules.name, rules.stop, rules.temperature) == ("tinypy", (stop,), 0.0)
        assert rules.max_new_tokens > max(len(text_tests(one).expected) for one in load_benchmark(name).tasks)


def test_another_protocol_has_no_rules_for_it() -> None:
    assert rules_for("tinypy", "tinypy-execution").name == "tinypy"
    with pytest.raises(UsageError, match="evalplus-base"):
        rules_for("evalplus-base", "tinypy-execution")
    with pytest.raises(UsageError, match="'tinypy' has no rules for humaneval: use one of default"):
        rules_for("tinypy", "humaneval")


def test_a_model_is_asked_for_few_tokens_behind_the_very_prompt() -> None:
    class Scripted:
        name = digest = "scripted"

        def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            asked.append((prompts[0].text, settings.max_new_tokens, settings.stop, settings.temperature))
            yield Completion(text="\n# 19", stop_reason=StopReason.STOP)

    asked: list[tuple[object, ...]] = []
    benchmark = load_benchmark("tinypy-execution")
    task = benchmark.tasks[0]
    source = _from_model(Scripted(), benchmark, (task,), Decoding(), ("tinypy", "hf"))
    (sample,) = source.samples(())
    assert asked == [(task.prompt, 32, ("\n\n",), 0.0)]
    assert sample.program == task.prompt + "\n# 19"
    assert Judge(NoCells(), Limits()).judge(task, sample).passed is (text_tests(task).expected == "# 19")


# Judging


def text_task(expected: str, rule: TextRule = TextRule.NUMBERS, characters: int = 20) -> Task:
    tests = TextTests(expected=expected, rule=rule, characters=characters)
    return Task(task_id="Tiny/0", prompt="p\n# output", entry_point="", reference="", tests=tests)


def outcome_of(task: Task, answer: str, stop_reason: StopReason = StopReason.STOP) -> Outcome:
    sample = Sample(
        task_id=task.task_id,
        sample_index=0,
        completion=answer,
        program=task.prompt + answer,
        stop_reason=stop_reason,
    )
    return Judge(NoCells(), Limits()).judge(task, sample).outcome


@pytest.mark.parametrize(
    ("expected", "answer", "outcome"),
    [
        ("# 19", "\n# 19", Outcome.PASSED),
        ("# 19", "\n# 19\n\na = 3\nprint(", Outcome.PASSED),  # a new example begins
        ("# 19", "\n# 19.0", Outcome.PASSED),  # compared as floats
        ("# 19", " 19", Outcome.PASSED),
        ("# 19", "\n# 19\n# 19", Outcome.FAILED),
        ("# 19", "\n# 9", Outcome.FAILED),
        ("# 19", "\n# 1 9", Outcome.FAILED),
        ("# -8", "\n# 8", Outcome.FAILED),
        ("# -8", "\n# -8", Outcome.PASSED),
        ("# 0.5", "\n# 0.50", Outcome.PASSED),
        ("# 0.5", "\n# .5", Outcome.FAILED),
        ("# 1\n# 2\n# 3", "\n# 1\n# 2\n# 3", Outcome.PASSED),
        ("# 1\n# 2\n# 3", "\n# 1\n# 2\n\n# 3", Outcome.FAILED),
        ("# 1\n# 2", "\n# 2\n# 1", Outcome.FAILED),
        ("# 5e-05", "\n# 5e-05", Outcome.PASSED),
        ("# 5e-05", "\n# 5", Outcome.FAILED),
        ("# 19", "\n\n# 19", Outcome.NO_CODE),  # ended before it said anything
        ("# 19", "\n# nineteen", Outcome.NO_CODE),
        ("# 19", "\n# \u0661\u0669", Outcome.NO_CODE),  # digits, but not Python's own
        ("# 19", "", Outcome.NO_CODE),
        ("# 19", "\n# inf nan", Outcome.NO_CODE),
        ("# 1", "\n# 1\n#                  2", Outcome.PASSED),  # behind the characters that count
    ],
)
def test_numbers_are_compared_up_to_a_blank_line(expected: str, answer: str, outcome: Outcome) -> None:
    assert outcome_of(text_task(expected), answer) is outcome


def test_a_wrong_answer_that_ran_out_of_tokens_is_truncated() -> None:
    task = text_task("# 19")
    assert outcome_of(task, "\n# 1", StopReason.LENGTH) is Outcome.TRUNCATED
    assert outcome_of(task, "\n# 19", StopReason.LENGTH) is Outcome.PASSED
    assert outcome_of(task, "\n# what", StopReason.LENGTH) is Outcome.NO_CODE


@pytest.mark.parametrize("rule", TextRule)
def test_thinking_that_ran_out_of_tokens_is_truncated(rule: TextRule) -> None:
    task = text_task("# 19", rule)
    sample = Sample(
        task_id=task.task_id,
        sample_index=0,
        completion="<think>19",
        program=task.prompt,
        stop_reason=StopReason.LENGTH,
        reasoning_rule=ReasoningRule.THINK,
    )
    judge = Judge(NoCells(), Limits())
    assert judge.judge(task, sample).outcome is Outcome.TRUNCATED
    assert judge.judge(task, replace(sample, stop_reason=StopReason.STOP)).outcome is Outcome.NO_CODE


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("if x > 3 :", Outcome.PASSED),
        ("if x > 3 :\n\tprint(x)", Outcome.PASSED),
        ("if x > 3 ", Outcome.FAILED),
        ("if x > 4 :", Outcome.FAILED),
        (" if x > 3 :", Outcome.FAILED),
        ("", Outcome.NO_CODE),
    ],
)
def test_as_many_characters_are_compared_as_the_line_has(answer: str, outcome: Outcome) -> None:
    assert outcome_of(text_task("if x > 3 :", TextRule.CHARACTERS, 10), answer) is outcome


@pytest.mark.parametrize("rule", TextRule)
@pytest.mark.parametrize(
    "answer",
    ["9" * 10_000_000, "\n# " * 3_000_000, "-" * 10_000_000, "1e" * 5_000_000, "\0" * 10_000_000, "\udc80" * 1_000_000],
    ids=["digits", "marks", "minus", "exponents", "zeros", "surrogates"],
)
def test_hostile_answers_cost_no_time(rule: TextRule, answer: str) -> None:
    start = time.process_time()
    assert outcome_of(text_task("# 19", rule), answer) in (Outcome.FAILED, Outcome.NO_CODE)
    assert time.process_time() - start < 1.0


def test_an_expected_answer_that_proves_nothing_is_an_error() -> None:
    for rule in TextRule:
        with pytest.raises(UsageError, match="proves nothing"):
            outcome_of(text_task("", rule), "\n# 1")


def test_a_whole_text_is_an_answer_too() -> None:
    task = text_task("# 19")
    for program, passed in ((task.prompt + "\n# 19", True), ("\n# 19", True), ("other 3\n# 19", False)):
        sample = Sample(
            task_id=task.task_id, sample_index=0, completion=program, program=program, stop_reason=StopReason.FILE
        )
        assert Judge(NoCells(), Limits()).judge(task, sample).passed is passed


def test_edit_similarity_counts_what_two_texts_share() -> None:
    assert edit_similarity("abcd", "abcd") == 1.0
    assert edit_similarity("abcd", "") == 0.0
    assert edit_similarity("print(a)", "print(b)") == pytest.approx(2 * 7 / 16)
    assert edit_similarity("ab", "ba") == pytest.approx(2 * 1 / 4)


def test_no_cells_run_nothing() -> None:
    with pytest.raises(SandboxClosed):
        NoCells().start(None, Limits())  # type: ignore[arg-type]
    assert not issubclass(SandboxClosed, CellLost)


# From the command line


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


def harness(*words: object) -> Result:
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.mark.slow
@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("name", ["tinypy-execution", "tinypy-completion"])
def test_its_own_answers_pass_and_no_sandbox_is_opened(name: str, tmp_path: Path) -> None:
    ran = harness("eval", "--model", "canonical", "--tasks", name, "--sandbox", "docker", "--out", tmp_path, "--json")
    assert ran.exit_code == 0, ran.output
    report = json.loads(ran.stdout)
    assert (report["samples"], report["outcomes"]["passed"], report["sandbox"]) == (1400, 1400, "none")
    tiers = {tier["tier"]: tier["tasks"] for tier in report["tiers"]}
    assert tiers == {"easy": 346, "medium": 598, "hard": 456}  # by the paper's thresholds
    assert list(report["metrics"]) == (["edit_similarity"] if name == "tinypy-completion" else [])
    assert harness("verify", tmp_path, "--sandbox", "docker").exit_code == 0


@pytest.mark.slow
def test_its_own_answers_pass_again_as_a_samples_file(tmp_path: Path) -> None:
    for name in ("tinypy-execution", "tinypy-completion"):
        assert judged(name, tmp_path, lambda task: task.reference.removeprefix(task.prompt)).outcomes["passed"] == 1400


def judged(name: str, folder: Path, answer: Any) -> Report:
    """Evaluate a samples file that holds one answer per task."""
    rows = [{"task_id": task.task_id, "completion": answer(task)} for task in load_benchmark(name).tasks]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (report,) = evaluate(EvalConfig(tasks=(name,), out=folder / name, samples=path))
    return report


def test_edit_similarity_is_a_mean_over_tasks_with_an_interval(tmp_path: Path) -> None:
    def half(task: Task) -> str:
        expected = text_tests(task).expected
        return expected if task.task_id.endswith("0") else "~" * len(expected)

    report = judged("tinypy-completion", tmp_path, half)
    similarity = report.metrics["edit_similarity"]
    assert similarity.value == pytest.approx(0.1)
    assert similarity.low < 0.1 < similarity.high
    assert report.pass_at_k["1"].value == pytest.approx(0.1)
    first = json.loads((tmp_path / "tinypy-completion" / "verdicts.jsonl").read_text().splitlines()[1])
    assert (first["evidence"]["edit_similarity"], first["outcome"]) == (0.0, "failed")


def test_tiers_that_do_not_rank_are_pointed_out(tmp_path: Path) -> None:
    samples = tmp_path / "s.jsonl"
    tasks = load_benchmark("tinypy-execution").tasks
    rows = [
        {"task_id": task.task_id, "completion": "\n" + text_tests(task).expected if "/3.1/" in task.task_id else "0"}
        for task in tasks
    ]
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = harness("eval", "--samples", samples, "--tasks", "tinypy-execution", "--out", tmp_path / "run")
    assert ran.exit_code == 0, ran.output
    assert "does not fall from tier to tier" in ran.stdout


@pytest.mark.parametrize(
    ("line", "needle"),
    [
        ('{"task_id": "TinyPyExecution/1.1/0"}', "needs 'completion'"),
        ('{"task_id": "TinyPyExecution/1.1/0", "completion": 19}', "must be a string"),
        ('{"task_id": "TinyPyExecution/9.9/0", "completion": "19"}', "is not a task of tinypy-execution"),
        ('{"task_id": "TinyPyExecution/1.1/0", "completion": "19"', "line 1"),
    ],
)
def test_a_malformed_samples_file_is_refused(line: str, needle: str, tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(line + "\n")
    ran = harness("eval", "--samples", path, "--tasks", "tinypy-execution", "--partial", "--out", tmp_path / "run")
    assert isinstance(ran.exception, UsageError)
    assert needle in str(ran.exception)
