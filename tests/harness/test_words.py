"""Words: what is shipped, what programs compute, and that training problems give no test away."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from harness import find_leaks, words_train
from harness.benchmarks import data, load_benchmark
from harness.benchmarks.gsm8k_worked import arithmetic_value
from harness.benchmarks.ladder.drafts import split_of
from harness.benchmarks.words.generator import SIZES, STEPS, shipped, words_set
from harness.benchmarks.words.phrases import BOXES, NAMES, THINGS
from harness.benchmarks.words.problems import SHOTS, TIERS, Problem, problem_from
from harness.errors import SamplesError
from harness.judge import Judge
from harness.protocols import rules_for
from harness.records import Benchmark, NumberTests, Outcome, Sample, StopReason, Task
from sandbox import Limits, open_sandbox

NUMBER = re.compile(r"\d+")


@pytest.fixture(scope="module")
def tests() -> Benchmark:
    return load_benchmark("words")


@pytest.fixture(scope="module")
def problems() -> dict[str, list[Problem]]:
    return {split: [problem_from(record) for record in data.records_of(shipped(split))] for split in SIZES}


@pytest.fixture(scope="module")
def training() -> list[Task]:
    return list(words_train(seed=5, count=600))


def masked(task: Task) -> str:
    """Return a question with a sign in the place of every name, thing and number."""
    return re.sub(rf"\b({'|'.join((*NAMES, *THINGS, *BOXES))})\b|\d+", "@", task.prompt)


def test_the_files_are_made_again_byte_by_byte() -> None:
    for split in SIZES:
        again = "".join(problem.to_line() for problem in words_set(split))
        assert again.encode("ascii") == shipped(split).content


def test_answers_are_what_the_programs_compute(problems: dict[str, list[Problem]], training: list[Task]) -> None:
    for problem in [one for some in problems.values() for one in some]:
        assert arithmetic_value(problem.program) == problem.answer, problem.task_id
    for task in training:
        assert isinstance(task.tests, NumberTests)
        assert arithmetic_value(task.reference) == task.tests.expected


def test_a_program_has_a_line_for_each_step(problems: dict[str, list[Problem]]) -> None:
    for problem in [one for some in problems.values() for one in some]:
        lines = problem.program.splitlines()
        assert len(lines) in STEPS[problem.tier]
        assert [line.split(" = ")[0] for line in lines] == [*(f"t{n}" for n in range(len(lines) - 1)), "answer"]
        known = {"2", *NUMBER.findall(problem.question)}  # a half and a double are no figures
        assert set(re.findall(r"\b\d+", problem.program)) <= known


def test_a_program_is_judged_by_the_number_that_it_leaves(tests: Benchmark) -> None:
    limits = Limits(cpu_seconds=1.0, wall_seconds=10.0, memory_bytes=256 << 20)
    with closing(open_sandbox("local", limits, workers=1)) as cell:
        judge = Judge(cell, limits)
        for task in tests.tasks[:30]:
            program = task.reference
            for source, outcome in ((program, Outcome.PASSED), (f"{program}answer += 1000\n", Outcome.FAILED)):
                sample = Sample(
                    task_id=task.task_id,
                    sample_index=0,
                    completion=source,
                    program=source,
                    stop_reason=StopReason.STOP,
                )
                assert judge.judge(task, sample).outcome is outcome, task.task_id


def test_the_sets_have_every_tier_and_no_problem_twice(problems: dict[str, list[Problem]]) -> None:
    for split, found in problems.items():
        counts = Counter(problem.tier for problem in found)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert len({problem.question for problem in found}) == len(found) == SIZES[split]
        kinds = Counter((problem.tier, problem.kind) for problem in found)
        assert all(count == 1 or (tier == "easy" and count <= 5) for (tier, _), count in kinds.items())
        assert {split_of(f"words {problem.kind}") for problem in found} == {split}
    assert {problem.kind for problem in problems["test"]}.isdisjoint(problem.kind for problem in problems["dev"])


def test_training_problems_give_no_test_away(tests: Benchmark, training: list[Task]) -> None:
    """Not even with other names, things and numbers; nor do the examples that prompts show."""
    shots = [replace(training[0], task_id=shot.description, prompt=f"# {shot.description}\n") for shot in SHOTS]
    assert find_leaks([*training, *shots], tests.tasks) == []
    dev = load_benchmark("words-dev").tasks
    kept_apart = {masked(task) for task in (*tests.tasks, *dev)}
    assert len(kept_apart) > 900
    assert not kept_apart & {masked(task) for task in [*training, *shots]}
    assert {task.split for task in training} == {"train"}


def test_a_test_among_training_problems_is_found(tests: Benchmark, training: list[Task]) -> None:
    planted = replace(training[0], task_id="planted", prompt=tests.tasks[3].prompt)
    near = replace(planted, task_id="near", prompt=planted.prompt.replace("?", ", please?"))
    found = find_leaks([planted, near, *training], tests.tasks)
    assert {(leak.task_id, leak.test_id) for leak in found} == {(name, "Words/test/3") for name in ("planted", "near")}


def test_training_and_test_problems_share_their_words(tests: Benchmark, training: list[Task]) -> None:
    words = [
        set(re.findall(r"[A-Za-z]+", " ".join(task.reference for task in some))) for some in (tests.tasks, training)
    ]
    assert words[0] <= words[1]


def test_the_supply_depends_on_seed_and_place_alone(training: list[Task]) -> None:
    assert list(words_train(seed=5, count=12)) == training[:12]
    assert {task.prompt for task in words_train(seed=6, count=60)}.isdisjoint(task.prompt for task in training)
    assert [task.tier for task in words_train(seed=1, count=4, tiers=("hard", "easy"))] == ["hard", "easy"] * 2
    with pytest.raises(ValueError, match="no tier 'harder': easy, medium, hard"):
        list(words_train(seed=1, count=1, tiers=("harder",)))
    with pytest.raises(ValueError, match="at least one tier"):
        list(words_train(seed=1, count=1, tiers=()))


def test_prompts_show_solved_problems_of_the_same_world(tests: Benchmark) -> None:
    task = tests.tasks[0]
    few, none = (rules_for(name, tests) for name in ("default", "ekt-0shot"))
    shown = "".join(f"# {shot.description}\n{shot.code}\n\n" for shot in SHOTS)
    assert few.prompt(task) == shown + task.prompt
    assert none.prompt(task) == task.prompt
    assert few.program(task, "answer = 1\n\n# Next") == f"{task.prompt}answer = 1\n"
    for shot in SHOTS:
        assert arithmetic_value(shot.code) is not None


def test_tiers_are_those_of_the_problems(tests: Benchmark) -> None:
    assert {task.tier for task in tests.tasks} == set(TIERS)


@pytest.mark.parametrize("answer", ["12", 1.5, None, True])
def test_a_damaged_line_is_named(answer: object) -> None:
    fields = {"task_id": "x", "question": "?", "program": "", "answer": answer, "tier": "easy", "kind": "x"}
    with pytest.raises(SamplesError, match=r"words\.jsonl, line 3: 'answer' must be a whole number"):
        problem_from(data.JsonRecord(place=str(Path("words.jsonl, line 3")), fields=fields))
