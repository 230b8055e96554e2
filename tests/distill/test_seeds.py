"""From levels to questions: how many of which kind, for each thing that can decide it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from distill.levels import Level, LevelRule, QuestionLevel
from distill.questions import Met, QuestionsBy, QuestionsConfig, choose, choose_probes
from distill.seeds import LevelWeights, SeedQuestion, apportioned, random_tiers, seeds_of, wanted_by_levels
from distill.task_files import read_families, write_tasks
from harness import Task, UsageError, ladder_families, load_benchmark

TIERS = ("easy", "medium", "hard", "expert")
KINDS = {("easy", "a"), ("easy", "b"), ("easy", "c"), ("hard", "x")}


def seed(tier: str, family: str, level: Level) -> SeedQuestion:
    return SeedQuestion(tier=tier, family=family, level=level)


SEEDS = [
    *[seed("easy", "a", Level.EASY)] * 10,
    *[seed("easy", "b", Level.MEDIUM)] * 2,
    *[seed("hard", "x", Level.HARD)] * 3,
]


def test_seeds_weigh_by_their_level_and_easy_ones_are_widened() -> None:
    plan = wanted_by_levels(SEEDS, 144, LevelWeights(), 1 / 6, KINDS)
    # 120 by weight: 10 x 0.1, 2 x 1 and 3 x 3 of 12; 24 for the easy ones, of other kinds than theirs.
    assert [(one.tier, one.families, one.count) for one in plan] == [
        ("easy", ("a",), 10),
        ("easy", ("b",), 20),
        ("hard", ("x",), 90),
        ("easy", ("b", "c"), 24),
    ]


@pytest.mark.parametrize("count", [1, 2, 7, 100, 1001])
def test_a_plan_adds_up_to_the_count(count: int) -> None:
    plan = wanted_by_levels(SEEDS, count, LevelWeights(), 1 / 6, KINDS)
    assert sum(one.count for one in plan) == count
    assert all(one.count for one in plan)


def test_what_nobody_claims_goes_to_the_others() -> None:
    hard = [seed("hard", "x", Level.HARD)]
    assert [(one.families, one.count) for one in wanted_by_levels(hard, 9, LevelWeights(), 1 / 6, KINDS)] == [
        (("x",), 9)
    ]
    easy = [seed("easy", "a", Level.EASY)]
    only_wide = wanted_by_levels(easy, 9, LevelWeights(easy=0.0), 1 / 6, KINDS)
    assert [(one.families, one.count) for one in only_wide] == [(("b", "c"), 9)]
    with pytest.raises(UsageError, match="no probe has a level"):
        wanted_by_levels([], 9, LevelWeights(), 1 / 6, KINDS)
    with pytest.raises(ValueError, match="one is above 0"):
        LevelWeights(easy=0, medium=0, hard=0)


def test_seeds_without_a_kind_ask_for_their_tier() -> None:
    plan = wanted_by_levels([seed("t", "", Level.HARD), seed("t", "", Level.EASY)], 12, LevelWeights(), 0.25, set())
    assert [(one.tier, one.families, one.count) for one in plan] == [("t", (), 9), ("t", (), 3)]


def test_largest_remainders() -> None:
    weights = {("t", "a"): 1.0, ("t", "b"): 1.0, ("t", "c"): 1.0}
    assert apportioned(5, weights) == {("t", "a"): 2, ("t", "b"): 2, ("t", "c"): 1}
    assert apportioned(5, {("t", "a"): 0.0}) == {("t", "a"): 0}
    assert sum(apportioned(1000, {("t", str(n)): 0.1 * n for n in range(7)}).values()) == 1000


def test_questions_whose_level_nobody_knows_are_no_seeds() -> None:
    def level(task_id: str, value: Level | None) -> QuestionLevel:
        return QuestionLevel(
            task_id=task_id, level=value, rule=LevelRule.PASS_RATE, samples=1, unknown=0, passed=0, tier="hard"
        )

    found = seeds_of([level("1", Level.HARD), level("2", None), level("3", Level.EASY)], {"1": "x"})
    assert found == [seed("hard", "x", Level.HARD), seed("hard", "", Level.EASY)]


def test_random_tiers_are_as_many_and_any() -> None:
    drawn = [random_tiers(["hard", "expert"], ["easy", "medium"], number) for number in range(40)]
    assert all(len(weak) == 2 and sorted([*weak, *other]) == sorted(TIERS) for weak, other in drawn)
    assert len({tuple(weak) for weak, _ in drawn}) > 4
    assert drawn == [random_tiers(["hard", "expert"], ["easy", "medium"], number) for number in range(40)]


def families_of(tier: str) -> tuple[str, str]:
    first, second, *_ = ladder_families(tier)
    return first, second


def asked(by: QuestionsBy, count: int = 40) -> tuple[Counter[str], Counter[str]]:
    """Return how many questions of each tier and family are asked, by seeds that are hard in one family of `hard`."""
    easy, hard = families_of("easy")[0], families_of("hard")[0]
    seeds = [seed("easy", easy, Level.EASY)] * 4 + [seed("hard", hard, Level.HARD)] * 4
    config = QuestionsConfig(count=count, feedback=by, widen=0.25)
    chosen = choose(config, ["hard"], ["easy", "medium", "expert"], (), 5, seeds)
    assert len({task.task_id for task in chosen.tasks}) == len(chosen.tasks) == count
    assert all(task.split == "train" for task in chosen.tasks)
    return Counter(task.tier or "" for task in chosen.tasks), Counter(chosen.families.values())


def test_each_way_of_choosing_asks_what_it_says() -> None:
    tiers, families = asked(QuestionsBy.LEVELS)
    hard = families_of("hard")[0]
    assert tiers == {"easy": 11, "hard": 29}  # 30 by weight 0.4 : 12, and 10 wider ones of easy
    assert families[hard] == 29
    assert families[families_of("easy")[0]] == 1
    tiers, families = asked(QuestionsBy.SAME_TIERS)
    assert tiers == {"easy": 11, "hard": 29}
    assert families[hard] < 15
    assert asked(QuestionsBy.NONE)[0] == dict.fromkeys(TIERS, 10)
    assert asked(QuestionsBy.WEAK_TIERS)[0] == {"hard": 30, "easy": 4, "medium": 3, "expert": 3}
    assert sorted(asked(QuestionsBy.RANDOM_TIER)[0].values()) == [3, 3, 4, 30]


def test_probes_are_no_questions_and_nothing_that_was_trained() -> None:
    config = QuestionsConfig(count=60, feedback=QuestionsBy.NONE)
    questions = choose(config, TIERS, [], (), 5)
    probes = choose_probes(config, 40, TIERS, (), 5)
    assert Counter(task.tier for task in probes.tasks) == dict.fromkeys(TIERS, 10)
    assert {task.task_id for task in probes.tasks}.isdisjoint(task.task_id for task in questions.tasks)
    assert set(probes.families) == {task.task_id for task in probes.tasks}
    met = {task.prompt for task in probes.tasks[:7]}
    again = choose_probes(config, 40, TIERS, (), 5, met)
    assert again.tasks == tuple(task for task in probes.tasks if task.prompt not in met)
    assert again.known == 40 - len(again.tasks) >= 7


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """Return a file of training questions, 30 of a tier, in three families, and 10 of another without any."""
    config = QuestionsConfig(count=40, feedback=QuestionsBy.NONE)
    tasks = choose(config, ["hard"], [], (), 5).tasks
    write_tasks(tasks, tmp_path / "q.jsonl", {task.task_id: "xyz"[place % 3] for place, task in enumerate(tasks[:30])})
    rows = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    changed = [row | {"tier": "a" if "family" in row else "b"} for row in rows]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))
    return tmp_path / "q.jsonl"


def test_a_file_of_questions_is_asked_by_level_as_well(marked: Path) -> None:
    assert Counter(read_families(marked).values()) == {"x": 10, "y": 10, "z": 10}
    config = QuestionsConfig(source=str(marked), count=9, feedback=QuestionsBy.LEVELS, widen=1 / 3)
    seeds = [seed("a", "x", Level.HARD), seed("a", "y", Level.EASY)]
    probes = choose_probes(config, 8, ["a", "b"], (), 3)
    assert Counter(task.tier for task in probes.tasks) == {"a": 4, "b": 4}
    known = {task.prompt for task in probes.tasks}
    chosen = choose(config, ["a"], ["b"], (), 3, seeds, Met(probes=known))
    assert {task.tier for task in chosen.tasks} == {"a"}
    assert {task.prompt for task in chosen.tasks}.isdisjoint(known)
    # By weight 3 : 0.1, 6 are all of x; the 3 wider ones are of any kind but y.
    families = Counter(chosen.families.values())
    assert families["x"] >= 6
    assert families["x"] + families["z"] == len(chosen.tasks) == 9


def test_written_families_change_no_task(tmp_path: Path) -> None:
    chosen = choose(QuestionsConfig(count=6, feedback=QuestionsBy.NONE), ["hard"], [], (), 5)
    write_tasks(chosen.tasks, tmp_path / "q.jsonl", chosen.families)
    again: tuple[Task, ...] = load_benchmark(str(tmp_path / "q.jsonl")).tasks
    assert again == chosen.tasks
    assert read_families(tmp_path / "q.jsonl") == dict(chosen.families)


def test_a_part_whose_share_is_none_gets_nothing() -> None:
    easy = [seed("easy", "a", Level.EASY)] * 3
    assert wanted_by_levels(easy, 9, LevelWeights(easy=0.0), 0, KINDS) == []
    hard = [seed("hard", "x", Level.HARD)] * 3
    assert wanted_by_levels(hard, 9, LevelWeights(), 1, KINDS) == []
    assert wanted_by_levels(hard, 9, LevelWeights(hard=0.0), 0, KINDS) == []


def lopsided(path: Path, easy: int, hard: int) -> Path:
    """Write a file of training questions with so many of each tier, which no two are of one prompt."""
    line = {"entry_point": "f", "canonical_solution": "    return x\n", "split": "train"}
    rows = [
        line
        | {
            "task_id": f"{tier}/{number}",
            "tier": tier,
            "prompt": f'def f(x):\n    """Return x, as {tier} question {number} wants it."""\n',
            "test": f"def check(candidate):\n    assert candidate({number}) == {number}\n",
        }
        for tier, count in (("easy", easy), ("hard", hard))
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_probes_leave_questions_of_a_small_tier_to_be_asked(tmp_path: Path) -> None:
    source = lopsided(tmp_path / "q.jsonl", 100, 8)
    config = QuestionsConfig(source=str(source), count=50, feedback=QuestionsBy.LEVELS)
    probes = choose_probes(config, 24, ["easy", "hard"], (), 3)
    assert Counter(task.tier for task in probes.tasks) == {"easy": 12, "hard": 4}
    assert (probes.found, probes.missing) == ((12, 4), 8)
    seeds = [seed("hard", "", Level.HARD)] * 4 + [seed("easy", "", Level.EASY)] * 12
    chosen = choose(config, ["hard"], ["easy"], (), 3, seeds, Met(probes={task.prompt for task in probes.tasks}))
    assert Counter(task.tier for task in chosen.tasks)["hard"] == 4
    # What the plan has and the file has not is said, for each part.
    wanted = {part.tier: part.count for part in chosen.plan if part.tier == "hard"}
    assert chosen.missing == wanted["hard"] - 4 == 50 - len(chosen.tasks)
    assert chosen.shortfall() == f"hard: 4 of {wanted['hard']}"
    everything = {task.prompt for task in load_benchmark(str(source)).tasks}
    assert choose_probes(config, 4, ["hard"], (), 3, everything).tasks == ()


def test_rounds_draw_different_questions_of_a_file_as_far_as_it_has_them(tmp_path: Path) -> None:
    source = lopsided(tmp_path / "q.jsonl", 0, 30)
    config = QuestionsConfig(source=str(source), count=12)
    asked: set[str] = set()
    for number, known in ((1, 0), (2, 0), (3, 6), (4, 12)):
        chosen = choose(config, ["hard"], [], (), number, met=Met(asked=asked))
        prompts = {task.prompt for task in chosen.tasks}
        assert (len(prompts), len(prompts & asked), chosen.missing) == (12, known, 0)
        asked |= prompts


def test_a_compressed_file_has_kinds_too(marked: Path) -> None:
    import gzip

    packed = marked.with_name("q.jsonl.gz")
    packed.write_bytes(gzip.compress(marked.read_bytes()))
    assert read_families(packed) == read_families(marked)
    config = QuestionsConfig(source=str(packed), count=6, feedback=QuestionsBy.LEVELS)
    assert len(choose(config, ["a"], ["b"], (), 3, [seed("a", "x", Level.HARD)]).tasks) == 6


@pytest.mark.parametrize("content", [None, "[1]\n", "{", '{"task_id": 3}\n'])
def test_a_file_that_is_none_of_questions_is_refused_in_words(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "q.jsonl"
    if content is not None:
        path.write_text(content)
    config = QuestionsConfig(source=str(path), count=6, feedback=QuestionsBy.LEVELS)
    with pytest.raises(UsageError, match=r"q\.jsonl"):
        choose(config, ["a"], ["b"], (), 3, [seed("a", "x", Level.HARD)])
    with pytest.raises(UsageError, match=r"q\.jsonl"):
        choose_probes(config, 6, ["a"], (), 3)
