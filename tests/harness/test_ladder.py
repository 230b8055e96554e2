"""The ladder: what its file holds, that its tests catch wrong programs, that training tasks give nothing of it away."""

from __future__ import annotations

import ast
import doctest
import hashlib
import itertools
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from harness.benchmarks import data, load_benchmark
from harness.benchmarks.ladder.contamination import Kind, Leak, Watch, cases_of, find_leaks, traits_of
from harness.benchmarks.ladder.drafts import split_of
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.generator import FAMILIES, ladder_families, ladder_test, ladder_train, train_rungs
from harness.benchmarks.ladder.inputs import inputs_for
from harness.benchmarks.ladder.mutants import Mutant, mutants
from harness.benchmarks.ladder.programs import (
    FAILED,
    Function,
    Overrun,
    function_of,
    normal_form,
    outcome,
    passes,
    without_docstring,
)
from harness.benchmarks.ladder.rungs import SHIPPED, TIERS, Rung, rung_from
from harness.records import CheckTests, Task
from harness.suite import Suite
from harness.tiers import tiers_of

CAUGHT = 0.95
RANDOM_INPUTS = 1_000
FIRST_MISTAKES, SECOND_MISTAKES = 6, 4  # that many second ones for each first: listing those takes the time


@pytest.fixture(scope="module")
def rungs() -> list[Rung]:
    return [rung_from(record) for record in data.records_of(data.read(SHIPPED))]


@pytest.fixture(scope="module")
def tasks() -> tuple[Task, ...]:
    return load_benchmark("ladder").tasks


def arguments_of(program: str) -> tuple[str, ...]:
    function = ast.parse(program).body[0]
    assert isinstance(function, ast.FunctionDef)
    return tuple(argument.arg for argument in function.args.args)


def test_the_benchmark_is_the_shipped_file() -> None:
    benchmark = load_benchmark("ladder")
    content = SHIPPED.read_bytes()
    assert benchmark.name == "ladder"
    assert benchmark.source == "generated, seed 2026, version 1"
    assert benchmark.digest == hashlib.sha256(content).hexdigest()
    assert len(content) < 300_000
    assert content == b"".join(
        rung.to_line().encode("ascii") for rung in map(rung_from, data.records_of(data.read(SHIPPED)))
    )


def test_every_tier_has_sixty_tasks_of_several_families(rungs: list[Rung]) -> None:
    assert Counter(rung.tier for rung in rungs) == dict.fromkeys(TIERS, 60)
    assert [rung.task_id for rung in rungs] == [f"Ladder/{number}" for number in range(240)]
    assert [rung.tier for rung in rungs[:4]] == list(TIERS)  # so that --limit takes as many of each
    for tier in TIERS:
        families = Counter(rung.family for rung in rungs if rung.tier == tier)
        assert len(families) >= 5
        assert max(families.values()) - min(families.values()) <= 1


def test_texts_are_short_and_of_few_characters(rungs: list[Rung]) -> None:
    assert max(len(rung.prompt) for rung in rungs) <= 330
    assert statistics.mean(len(rung.prompt) for rung in rungs) < 200
    assert max(len(rung.canonical_solution) for rung in rungs) <= 260
    characters = {character for rung in rungs for character in rung.prompt + rung.canonical_solution}
    assert all(character.isascii() for character in characters)
    assert len(characters) <= 96


def test_every_solution_passes_its_tests_and_its_example(tasks: tuple[Task, ...]) -> None:
    parser = doctest.DocTestParser()
    for task in tasks:
        function = function_of(task.reference, task.entry_point)
        cases = cases_of(task)
        assert len(cases) >= 8
        assert passes(function, cases), task.task_id
        (example,) = parser.get_examples(task.prompt)
        assert repr(eval(example.source, {task.entry_point: function})) == example.want.splitlines()[0], task.task_id
        assert example.source.strip() not in {f"{task.entry_point}({', '.join(map(repr, one))})" for one, _ in cases}


def test_the_judge_runs_every_case(tasks: tuple[Task, ...]) -> None:
    for task in tasks[:8]:
        suite = Suite(task.tests)  # type: ignore[arg-type]  # they are CheckTests
        assert suite.expected == len(cases_of(task))


def test_tasks_are_distinct(tasks: tuple[Task, ...]) -> None:
    assert len({traits_of(task).sentence for task in tasks}) == len(tasks)
    assert len({normal_form(ast.parse(task.reference)) for task in tasks}) == len(tasks)
    functions = {task.task_id: function_of(task.reference, task.entry_point) for task in tasks}
    for task in tasks:
        cases = cases_of(task)
        assert [name for name, function in functions.items() if passes(function, cases)] == [task.task_id]


def test_the_difficulty_metric_rises_from_tier_to_tier(tasks: tuple[Task, ...]) -> None:
    found = tiers_of(load_benchmark("ladder"))
    assert [one.tier for one in found] == [task.tier for task in tasks]
    values = {tier: [one.difficulty.overall for one in found if one.tier == tier and one.difficulty] for tier in TIERS}
    means = [statistics.mean(values[tier]) for tier in TIERS]
    assert all(len(inside) == 60 for inside in values.values())
    assert means == sorted(means)
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(means))


# Wrong programs


@dataclass(frozen=True)
class Score:
    caught: int
    survivors: list[str]
    equivalent: int

    @property
    def share(self) -> float:
        return self.caught / (self.caught + len(self.survivors))


def differs(right: Function, wrong: Function, arguments: tuple[str, ...], draw: Draw) -> str | None:
    """Return an input that tells a program from the right one, or None if none of many does."""
    for _ in range(RANDOM_INPUTS):
        inputs = inputs_for(arguments, draw)
        value = outcome(right, inputs)
        if value is FAILED:
            continue  # the task says nothing about such inputs
        try:
            if outcome(wrong, inputs) != value:
                return repr(inputs)
        except Overrun:
            return repr(inputs)
    return None


def first_order(task: Task, program: str) -> Iterator[Mutant]:
    return mutants(program)


def second_order(task: Task, program: str) -> Iterator[Mutant]:
    """Yield programs with two mistakes, drawn at random; the tests were not chosen against these."""
    draw = Draw(int(task.task_id.rpartition("/")[2]))
    first = [ast.unparse(mutant.tree) for mutant in mutants(program)]
    for _ in range(FIRST_MISTAKES):
        if second := list(mutants(draw.one_of(first))):
            yield from [second[place] for place in {draw.below(len(second)) for _ in range(SECOND_MISTAKES)}]


def score(tasks: list[Task], mistakes: Callable[[Task, str], Iterator[Mutant]] = first_order) -> Score:
    caught, equivalent, survivors = 0, 0, []
    for number, task in enumerate(tasks):
        program = ast.unparse(without_docstring(ast.parse(task.reference)))
        right, cases = function_of(program, task.entry_point), cases_of(task)
        for mutant in mistakes(task, program):
            wrong = function_of(mutant.tree, task.entry_point)
            if not passes(wrong, cases):
                caught += 1
            elif found := differs(right, wrong, arguments_of(program), Draw(number)):
                survivors.append(f"{task.task_id}, {mutant.kind}, on {found}:\n{ast.unparse(mutant.tree)}")
            else:
                equivalent += 1
    return Score(caught, survivors, equivalent)


@pytest.mark.slow
@pytest.mark.parametrize("tier", TIERS)
def test_the_tests_catch_mutants(tier: str, tasks: tuple[Task, ...]) -> None:
    found = score([task for task in tasks if task.tier == tier])
    assert found.share >= CAUGHT, "\n".join(found.survivors)
    assert found.caught > 500
    assert found.equivalent < 0.1 * found.caught


@pytest.mark.slow
def test_the_tests_catch_two_mistakes_at_once(tasks: tuple[Task, ...]) -> None:
    found = score(list(tasks), second_order)
    print(found.caught, len(found.survivors), found.equivalent)
    assert found.share >= 0.99, "\n".join(found.survivors)
    assert found.caught > 4_000


def test_the_mutator_makes_every_kind_of_mistake() -> None:
    program = """
def f(nums, k):
    out = []
    for i in range(1, len(nums)):
        if nums[i] > k and i % 2 == 0:
            out.append(abs(nums[i]) - k)
        else:
            break
    return sorted(out[1:], reverse=True)
"""
    made = list(mutants(program))
    kinds = {mutant.kind for mutant in made}
    sources = {ast.unparse(mutant.tree) for mutant in made}
    assert len(sources) == len(made)
    assert ast.unparse(ast.parse(program)) not in sources
    assert kinds >= {
        "operator",
        "comparison",
        "constant + 1",
        "constant - 1",
        "dropped branch",
        "dropped condition",
        "and for or",
        "slice",
        "range",
        "swapped arguments",
        "swapped operands",
        "removed statement",
        "method",
        "dropped keyword",
        "continue for break",
    }
    assert [ast.unparse(mutant.tree) for mutant in mutants(program)] == [ast.unparse(mutant.tree) for mutant in made]


def test_weak_tests_let_mutants_through(tasks: tuple[Task, ...]) -> None:
    """The measure can fail: with one case a task, many a mutant survives."""
    weak = []
    for task in tasks[:40]:
        lines = task.tests.source.splitlines()  # type: ignore[union-attr]
        source = "\n".join([lines[0], lines[1], *lines[-1:]])
        weak.append(replace(task, tests=replace(task.tests, source=source)))  # type: ignore[arg-type]
    assert score(weak).share < CAUGHT


def test_an_endless_program_is_stopped() -> None:
    function = function_of("def f(n):\n    while n > 0:\n        n += 1\n    return n\n", "f")
    assert outcome(function, (0,)) == 0
    with pytest.raises(Overrun):
        outcome(function, (1,))
    assert not passes(function, [((1,), 1)])


def test_a_program_cannot_change_the_cases() -> None:
    function = function_of("def f(rows):\n    rows[0].append(1)\n    return rows\n", "f")
    case = ([[0]],)
    assert [outcome(function, case) for _ in range(2)] == [[[0, 1]]] * 2


def test_programs_are_the_same_but_for_names_and_layout() -> None:
    one = 'def f(nums):\n    """Text."""\n    total = 0\n    for x in nums:\n        total += x\n    return total\n'
    two = "def g(values):\n    s = 0  # start\n    for item in values:\n        s += item\n    return s\n"
    three = two.replace("def g", "def s").replace("values", "total")
    other = two.replace("s = 0", "s = 1")
    forms = [normal_form(ast.parse(program)) for program in (one, two, three, other)]
    assert forms[0] == forms[1] == forms[2] != forms[3]
    swapped = ["def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a"]
    assert len({normal_form(ast.parse(program)) for program in swapped}) == 2


# Training tasks


def test_training_tasks_have_solutions_that_pass() -> None:
    for task in ladder_train(seed=3, count=80):
        assert (task.split, task.tier in TIERS) == ("train", True)
        assert passes(function_of(task.reference, task.entry_point), cases_of(task))


def test_the_supply_depends_on_seed_and_place_alone() -> None:
    first = list(ladder_train(seed=5, count=24))
    assert list(ladder_train(seed=5, count=12)) == first[:12]
    assert {task.prompt for task in ladder_train(seed=6, count=24)}.isdisjoint(task.prompt for task in first)
    dev = list(ladder_train(seed=5, count=24, split="dev"))
    assert {task.split for task in dev} == {"dev"}
    assert {task.prompt for task in dev}.isdisjoint(task.prompt for task in first)


def test_tiers_can_be_chosen() -> None:
    assert [task.tier for task in ladder_train(seed=1, count=6, tiers=("hard", "easy"))] == ["hard", "easy"] * 3
    with pytest.raises(ValueError, match="no tier 'harder'"):
        list(ladder_train(seed=1, count=1, tiers=("harder",)))
    with pytest.raises(ValueError, match="at least one tier"):
        list(ladder_train(seed=1, count=1, tiers=()))
    with pytest.raises(ValueError, match="no split 'test'"):
        list(ladder_train(seed=1, count=1, split="test"))


def test_training_and_test_tasks_share_their_vocabulary(rungs: list[Rung]) -> None:
    """What a model is asked in the test set, it has met in training, in other combinations."""

    def words(sentence: str) -> set[str]:
        return {word for word in re.findall(r"[a-z-]+", sentence) if len(word) > 1}

    draw = Draw(1)
    families = [family for tier in FAMILIES.values() for family in tier.values()]
    drafts = [draft for family in families for _ in range(600) if (draft := family(draw))]
    known = {word for draft in drafts if split_of(draft.skeleton) == "train" for word in words(draft.sentence)}
    for rung in rungs:
        assert words(rung.prompt.partition('"""')[2].partition(">>>")[0]) <= known


def leaks_of(count: int, tasks: tuple[Task, ...]) -> list[Leak]:
    return find_leaks(ladder_train(seed=11, count=count), tasks)


@pytest.mark.slow
def test_training_tasks_give_no_test_task_away(tasks: tuple[Task, ...]) -> None:
    assert leaks_of(400, tasks) == []


@pytest.mark.slow
def test_five_thousand_training_tasks_give_no_test_task_away(tasks: tuple[Task, ...]) -> None:
    assert leaks_of(5_000, tasks) == []


# Planted leaks of one task.

KNOWN_PROMPT = """def total(nums):
    \"\"\"Return the sum of the numbers in nums that are positive, each squared.\"\"\"
"""
KNOWN_CHECK = """def check(candidate):
    assert candidate([]) == 0
    assert candidate([1, -2, 3]) == 10
    assert candidate([0, 2, 2]) == 8
check(total)
"""
COPY = """def squares(values):
    \"\"\"Return the sum of the numbers in values that are positive, each squared.\"\"\"
"""
OTHER = """def h(items):
    \"\"\"Add up what comes of multiplying by themselves those above zero.\"\"\"
"""
LOOP = """    total = 0
    for x in nums:
        if x > 0:
            total += x ** 2
    return total
"""
RENAMED = """    s = 0
    for item in items:
        if item > 0:
            s += item ** 2
    return s
"""
SHORTER = """    return sum([v * v for v in items if v >= 1])
"""
WRONG = """    return len(values)
"""
NEAR = """def total(nums):
    \"\"\"Return the sum of the numbers in nums that are positive, each one squared.\"\"\"
"""


KNOWN = Task(
    task_id="Known",
    prompt=KNOWN_PROMPT,
    entry_point="total",
    reference=KNOWN_PROMPT + LOOP,
    tests=CheckTests(source=KNOWN_CHECK, remote_names=("total",)),
)


@pytest.mark.parametrize(
    ("prompt", "solution", "expected"),
    [
        (COPY, WRONG, {Kind.SENTENCE}),
        (NEAR, LOOP.replace("2", "3"), {Kind.NGRAMS}),
        (OTHER, RENAMED, {Kind.PROGRAM, Kind.BEHAVIOUR}),
        (OTHER, SHORTER, {Kind.BEHAVIOUR}),
        (COPY.replace("values", "nums"), LOOP, set(Kind)),
        (COPY.replace('"""', "'''"), WRONG, {Kind.SENTENCE}),
        (OTHER, WRONG.replace("values", "items"), set()),
    ],
    ids=["sentence", "ngrams", "program", "behaviour", "all", "other quotes", "none"],
)
def test_a_planted_leak_is_found(prompt: str, solution: str, expected: set[Kind]) -> None:
    name = prompt.removeprefix("def ").partition("(")[0]
    task = replace(KNOWN, task_id="planted", prompt=prompt, reference=prompt + solution, entry_point=name)
    leaks = find_leaks([task], [KNOWN])
    assert {leak.kind for leak in leaks} == expected
    assert {(leak.task_id, leak.test_id) for leak in leaks} <= {("planted", "Known")}


def test_tasks_without_a_docstring_are_not_alike_for_that() -> None:
    bare, other = "def total(values):\n    # Add them up.\n", "def other(items):\n    # How many are there?\n"
    test = replace(KNOWN, prompt=bare, reference=bare + LOOP)
    task = replace(KNOWN, task_id="other", prompt=other, reference=other + WRONG, entry_point="other")
    assert find_leaks([task], [test], run=False) == []


def test_numbers_and_letters_do_not_hide_a_sentence(tasks: tuple[Task, ...]) -> None:
    task = next(task for task in tasks if "divisible by 3" in task.prompt)
    other = replace(task, task_id="planted", prompt=task.prompt.replace("divisible by 3", "divisible by 7"))
    assert Kind.SENTENCE in {leak.kind for leak in Watch([task]).leaks(other)}


def test_every_test_task_is_found_among_training_tasks(tasks: tuple[Task, ...]) -> None:
    found = find_leaks([replace(task, task_id=f"again {task.task_id}") for task in tasks], tasks)
    for kind in Kind:
        assert {leak.test_id for leak in found if leak.kind is kind} == {task.task_id for task in tasks}


def test_programs_of_others_are_not_run_unless_asked_for() -> None:
    prompt, solution = OTHER, SHORTER
    task = replace(KNOWN, task_id="planted", prompt=prompt, reference=prompt + solution, entry_point="h")
    assert find_leaks([task], [KNOWN], run=False) == []
    broken = replace(task, reference="def h(:")
    assert find_leaks([broken], [KNOWN]) == []


# Making the file again


@pytest.mark.slow
def test_the_first_tasks_are_made_again_as_shipped(rungs: list[Rung]) -> None:
    again = ladder_test(per_tier=6)
    assert again[0] == rungs[0]
    assert [rung for rung in again if rung.tier == "easy"] == [rung for rung in rungs if rung.tier == "easy"][:6]


@pytest.mark.slow
def test_the_file_is_made_again_byte_by_byte() -> None:
    assert "".join(rung.to_line() for rung in ladder_test()).encode("ascii") == SHIPPED.read_bytes()


def test_rungs_tell_family_and_solution() -> None:
    for rung in train_rungs(seed=2, count=8):
        task = rung.to_task("train")
        assert task.reference == rung.prompt + rung.canonical_solution
        assert rung.family.startswith(f"{rung.tier}-")


@pytest.mark.slow
def test_families_have_the_names_that_their_tasks_bear() -> None:
    drawn = {(rung.tier, rung.family) for rung in train_rungs(seed=4, count=400)}
    assert drawn == {(tier, family) for tier in TIERS for family in ladder_families(tier)}


def test_tasks_of_the_families_asked_for_alone() -> None:
    asked = ("easy-join", "hard-until", "hard-index")
    rungs = list(train_rungs(seed=4, count=40, tiers=("hard", "easy"), families=asked))
    assert [rung.tier for rung in rungs[:4]] == ["hard", "easy", "hard", "easy"]
    assert {rung.family for rung in rungs} == set(asked)
    whole = list(ladder_train(seed=4, count=20, tiers=("easy",), families=ladder_families("easy")))
    assert whole == list(ladder_train(seed=4, count=20, tiers=("easy",)))
    with pytest.raises(ValueError, match="no family 'until'"):
        list(train_rungs(seed=4, count=1, families=("until",)))
    with pytest.raises(ValueError, match="none of the families is of the tier easy"):
        list(train_rungs(seed=4, count=1, families=("hard-until",)))
    with pytest.raises(ValueError, match="no tier 'until'"):
        ladder_families("until")
