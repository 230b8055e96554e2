"""Solved questions for few-shot prompts: the nearest, never a test, never the question itself."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from distill.lessons import LeakageError
from distill.shots import ChosenShots, ShotSelection, see_that_they_can_be_shown, select_shots
from distill.shots_command import shots as command
from distill.task_files import write_tasks
from distill.teaching import TeacherConfig
from harness import NumberTests, Task, UsageError, load_benchmark, words_train

POOL = (
    "Anna bakes 7 loaves of bread in the morning and 5 in the evening. How many loaves does she bake?",
    "A train has 9 cars with 40 seats each. How many seats does the train have?",
    "Ben has 12 apples and eats 3 of them. How many apples does Ben have now?",
    "A garden has 4 rows of 6 trees. How many trees does the garden have?",
)
QUESTIONS = (
    "A bus has 3 doors and 50 seats. How many seats do 2 such buses have?",
    "Eva has 20 pears and eats 8 of them. How many pears does Eva have now?",
    POOL[0].replace("Anna", "ANNA"),
)


def question(number: int, words: str, split: str = "train") -> Task:
    prompt = f"# {words}\n"
    task = next(words_train(1, 1))
    assert task.statement is not None
    return replace(
        task,
        task_id=f"Q/{number}",
        prompt=prompt,
        reference="",
        tests=NumberTests(expected=Fraction(1)),
        split=split,
        statement=replace(task.statement, description=words),
    )


ASKED = [question(number, words) for number, words in enumerate(QUESTIONS)]


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.jsonl"
    lines = ({"question": words, "program": f"answer = {place}"} for place, words in enumerate(POOL))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def chosen(
    pool: Path, selection: ShotSelection, tests: list[Task] | None = None, seed: int = 0
) -> tuple[dict[str, list[int]], ChosenShots]:
    """Return the places in the pool of what each question is shown, in order, and the record."""
    out = pool.parent / "out.jsonl"
    record = select_shots(pool, ASKED, tests or [], selection, seed, out)
    shown: dict[str, list[int]] = {}
    for line in out.read_text().splitlines():
        row = json.loads(line)
        shown.setdefault(row["shown_to"], []).append(POOL.index(row["question"]))
        assert row["program"] == f"answer = {POOL.index(row['question'])}"
    return shown, record


@pytest.mark.parametrize("by", ["bm25", "bag-of-tokens"])
def test_the_nearest_are_shown_the_nearest_last_and_never_the_question_itself(by: str, pool: Path) -> None:
    shown, record = chosen(pool, ShotSelection(count=2, by=by))
    assert [shown[f"Q/{number}"][-1] for number in (0, 1)] == [1, 2]
    assert all(len(set(places)) == 2 for places in shown.values())
    assert 0 not in shown["Q/2"]  # the same question in capitals, with its own solution
    assert (record.model, record.exit, record.pool, record.left_out, record.questions) == (by, 0, 4, (), 3)
    assert record.shown == len({place for places in shown.values() for place in places})


def test_what_gives_a_test_away_is_shown_to_nobody(pool: Path) -> None:
    test = question(9, POOL[1].upper(), split="test")
    shown, record = chosen(pool, ShotSelection(count=1), [test])
    assert all(1 not in places for places in shown.values())
    assert (record.left_out, record.pool) == ((f"{pool}, line 2",), 4)
    with pytest.raises(LeakageError, match="line 2 gives the test Q/9 away: take it out"):
        see_that_they_can_be_shown(pool, None, [test])
    see_that_they_can_be_shown(pool, ShotSelection(), [test])
    # Questions that are tests themselves: what is like one of them is shown to no other, either.
    asked = [replace(task, split="test") for task in ASKED]
    select_shots(pool, asked, [], ShotSelection(count=3), 0, pool.parent / "out.jsonl")
    rows = [json.loads(line) for line in (pool.parent / "out.jsonl").read_text().splitlines()]
    assert {row["question"] for row in rows} == set(POOL[1:])


def test_random_ones_follow_the_seed_and_the_question(pool: Path) -> None:
    by_seed = [chosen(pool, ShotSelection(count=2, by="random"), seed=seed)[0] for seed in (0, 0, 1, 2)]
    assert by_seed[0] == by_seed[1]
    assert by_seed[0] != by_seed[2] or by_seed[0] != by_seed[3]
    assert all(0 not in shown["Q/2"] for shown in by_seed)


def test_too_few_and_what_cannot_choose_is_said_so(pool: Path) -> None:
    with pytest.raises(UsageError, match="has 3 solved questions to show to Q/2, and 4 are asked for"):
        chosen(pool, ShotSelection(count=4))
    with pytest.raises(UsageError, match="exit 2: bm25 has no such exit"):
        chosen(pool, ShotSelection(exit=2))
    with pytest.raises(UsageError, match="is no question in words"):
        select_shots(pool, [replace(ASKED[0], statement=None)], [], ShotSelection(), 0, pool.parent / "out.jsonl")
    for wrong, said in (({"count": 0}, "at least 1"), ({"by": "random", "exit": 1}, "leave it out")):
        with pytest.raises(msgspec.ValidationError, match=said):
            msgspec.convert(wrong, ShotSelection)
    with pytest.raises(msgspec.ValidationError, match="name their file in shots"):
        msgspec.convert({"model": "m", "select_shots": {}}, TeacherConfig)


def test_the_command_writes_a_file_that_the_harness_shows(pool: Path, tmp_path: Path) -> None:
    write_tasks(ASKED, tmp_path / "q.jsonl")
    out = tmp_path / "shots.jsonl"
    ran = CliRunner().invoke(
        command,
        [str(tmp_path / "q.jsonl"), "--from", str(pool), "--count", "1", "--apart-from", "words", "-o", str(out)],
    )
    assert ran.exit_code == 0, ran.output
    assert "1 for each of 3 questions, by bm25" in ran.output
    from harness.benchmarks.shots import with_shots

    showing = with_shots(load_benchmark(str(tmp_path / "q.jsonl")), out)
    assert [task.statement.shots[0].description for task in showing.tasks if task.statement][:2] == [POOL[1], POOL[2]]


@pytest.mark.slow
@pytest.mark.hf
def test_an_encoder_ranks_at_the_exit_that_is_asked_for(pool: Path, tmp_path: Path) -> None:
    if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
    from tests.distill.made_encoders import small_encoder

    folder = tmp_path / "encoder"
    model, tokenizer = small_encoder()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for exit_layer in (1, 4):
        asked, solved = (model.encode(list(one), tokenizer=tokenizer, exit=exit_layer) for one in (QUESTIONS, POOL))
        nearest = (asked @ solved.T)[:2].argmax(1).tolist()
        shown, record = chosen(pool, ShotSelection(count=1, by=str(folder), exit=exit_layer))
        assert [shown[f"Q/{number}"] for number in (0, 1)] == [[place] for place in nearest]
        assert (record.exit, len(record.digest)) == (exit_layer, 64)
