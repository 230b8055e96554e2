"""Questions that a teacher writes: how many of which seed, what is too much alike, and what becomes of each."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from distill.asking import Asked, read_asked
from distill.created import (
    CreatedConfig,
    CreatedQuestion,
    Neighbours,
    PerSeed,
    description_of,
    proposals_of,
    read_created,
    wishes_from,
)
from distill.created_stages import CREATED, PROGRAMS, TEXTS, CreatedStages, chosen_from
from distill.created_text import Fate
from distill.estimate import estimate
from distill.levels import LEVELS, Level, LevelRule, QuestionLevel, write_levels
from distill.loop import LoopConfig, Machine
from distill.questions import QuestionsBy, QuestionsConfig, choose_probes
from distill.round_runs import PROBES, RoundRuns
from distill.task_files import write_tasks
from harness import (
    CheckTests,
    EvalConfig,
    ModelUnavailable,
    NoProgress,
    Outcome,
    Task,
    evaluate,
    ladder_train,
    load_benchmark,
    load_run,
)
from tests.distill.writing_teacher import SQUARES, THIRDS, Told, WritingTeacher, asking, told

SEEDS = list(ladder_train(seed=5, count=15, tiers=("expert",)))


def levels(*counts: int) -> list[QuestionLevel]:
    """Return so many easy, medium and hard seeds, and one of which nothing is known."""
    kinds = [level for level, count in zip(Level, counts, strict=True) for _ in range(count)]
    return [
        QuestionLevel(
            task_id=SEEDS[place].task_id,
            level=level,
            rule=LevelRule.PASS_RATE,
            samples=1,
            unknown=0,
            passed=0,
            tier="expert",
        )
        for place, level in enumerate([*kinds, None])
    ]


def wished(counts: tuple[int, int, int], most: int = 100, seed: int = 7, **per_seed: float) -> list[Level]:
    config = CreatedConfig(per_seed=PerSeed(**per_seed)) if per_seed else CreatedConfig()
    wishes = wishes_from(levels(*counts), {task.task_id: task for task in SEEDS}, {}, config, most, seed)
    assert [wish.task_id for wish in wishes] == [f"Created/{seed}-{place}" for place in range(len(wishes))]
    return [wish.level for wish in wishes]


def test_each_seed_gets_as_many_questions_as_its_level_says() -> None:
    assert Counter(wished((5, 3, 4))) == {Level.EASY: 1, Level.MEDIUM: 3, Level.HARD: 4}
    assert Counter(wished((10, 0, 0))) == {Level.EASY: 2}
    assert wished((4, 0, 0)) == []
    assert Counter(wished((2, 2, 2), easy=0, medium=1.5, hard=3)) == {Level.MEDIUM: 3, Level.HARD: 6}


def test_shares_of_seeds_are_whole_questions() -> None:
    shared = CreatedConfig(per_seed=PerSeed(easy=0.29, medium=0.29, hard=0.29))
    assert [shared.most(seeds) for seeds in (100, 99, 3)] == [29, 28, 0]


def test_no_more_are_asked_for_than_counted_and_which_is_chance() -> None:
    assert len(wished((0, 6, 6), most=5)) == 5
    assert len({tuple(wished((0, 6, 6), most=5, seed=seed)) for seed in range(8)}) > 1
    assert wished((0, 6, 6), most=5) == wished((0, 6, 6), most=5)


def test_what_is_asked_follows_the_level() -> None:
    known = {task.task_id: task for task in SEEDS}
    easy, hard = wishes_from(levels(5, 0, 1), known, {SEEDS[5].task_id: "kind"}, CreatedConfig(), 9, 1)
    assert "rarer than the given one" in easy.request().text
    assert "of the same type" in hard.request().text
    assert SEEDS[5].prompt.strip() in hard.request().text
    assert (hard.seed, hard.family, hard.request().about) == (SEEDS[5], "kind", "hard")


def test_jaccards_index_decides_what_is_near() -> None:
    words = [f"w{n}" for n in range(40)]
    neighbours = Neighbours()
    neighbours.add(" ".join(words), "first", Fate.NEAR_TEST)  # 36 5-grams
    neighbours.add("something else that is as long as five", "second", Fate.NEAR_SEED)
    # One word behind changed: 35 shared of 37. Four in the middle, apart: 16 shared of 56.
    assert neighbours.nearest(" ".join([*words[:-1], "x"])) == ("first", Fate.NEAR_TEST)
    assert neighbours.nearest(" ".join("x" if n in (8, 16, 24, 32) else word for n, word in enumerate(words))) is None
    # 30 of its 36 and 6 others: 30 / 42 = 0.714; 29 and 7: 29 / 43 = 0.674.
    assert neighbours.nearest(" ".join(words[:34] + ["x"] * 2 + list("abcd")))
    assert not neighbours.nearest(" ".join(words[:33] + ["x"] * 3 + list("abcd")))
    assert neighbours.nearest("Something else - that is as long as FIVE") is None
    assert neighbours.nearest("SOMETHING else that is as long as five") == ("second", Fate.NEAR_SEED)
    assert neighbours.nearest("too short") is None


def test_a_question_that_was_dropped_keeps_no_other_out() -> None:
    wishes = wishes_from(levels(0, 0, 3), {task.task_id: task for task in SEEDS}, {}, CreatedConfig(), 9, 1)
    words = [f"w{n}" for n in range(40)]
    # The second is near the test and near the third, which is not near the test.
    sentences = [" ".join(words[at : at + 34]) for at in (0, 3, 6)]
    test = Task(
        task_id="T/0",
        prompt=f'def f(x):\n    """{sentences[0]}"""\n',
        entry_point="f",
        reference="",
        tests=CheckTests(source="", remote_names=()),
    )
    texts = [asking("g", sentence, ["1", "2", "3"]) for sentence in ("An unlike question that is fine", *sentences[1:])]
    asked = [Asked(task_id=one.task_id, about="", text=text) for one, text in zip(wishes, texts, strict=True)]
    fates = [one.record.fate for one in proposals_of(wishes, asked, [(test, Fate.NEAR_TEST)])]
    assert fates == [Fate.ACCEPTED, Fate.NEAR_TEST, Fate.ACCEPTED]
    assert [one.record.fate for one in proposals_of(wishes, asked[:1], ())] == [Fate.ACCEPTED] + [Fate.UNANSWERED] * 2


def loop(tasks: Path, **changes: object) -> LoopConfig:
    plain = {
        "student": "demo:student",
        "teacher": {"model": "demo:teacher"},
        "tasks": str(tasks),
        "questions": {"count": 40, "feedback": "levels", "created": {"per_seed": {"medium": 0}}},
        "attempts": {"probes": 30},
        "training": {"steps": 1},
        **changes,
    }
    return msgspec.convert(plain, LoopConfig)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *[
            ({"teacher": {"model": name}}, "needs? a model for a teacher that can be asked")
            for name in ("student", "canonical")
        ],
        ({"teacher": {"samples": "x.jsonl"}}, "needs? a model for a teacher that can be asked"),
        *[
            ({"questions": {"created": {}, "feedback": by}}, "feedback: levels")
            for by in ("none", "same-tiers", "weak-tiers")
        ],
        ({"questions": {"created": {}}}, "feedback: levels"),
        (
            {"questions": {"created": {}, "feedback": "levels", "widen": 0}},
            "would change nothing: questions.created has per_seed",
        ),
        (
            {"questions": {"created": {}, "feedback": "levels", "weights": {"easy": 1}}},
            "would change nothing: questions.created has per_seed",
        ),
        ({"questions": {"created": {"n_samples": 1}, "feedback": "levels"}}, "n_samples is at least 2"),
        ({"questions": {"created": {"temperature": 0}, "feedback": "levels"}}, "temperature above 0"),
        ({"questions": {"created": {"agreement": 1.1}, "feedback": "levels"}}, "agreement is a share"),
        ({"questions": {"created": {"agreement": 0}, "feedback": "levels"}}, "agreement is a share"),
        ({"questions": {"created": {"per_seed": {"easy": -1}}, "feedback": "levels"}}, "at least 0"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(
    few_tasks: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        loop(few_tasks, **changes)


def test_the_estimate_counts_what_a_teacher_is_asked_for(few_tasks: Path) -> None:
    def calls(**created: object) -> tuple[int, int]:
        wanted = loop(few_tasks, questions={"count": 40, "feedback": "levels", "created": created})
        costs = {cost.what: cost.amount for cost in estimate(wanted)}
        return costs["questions"], costs["teacher calls"]

    assert calls() == (30, 30 * (1 + 5 + 1))  # the question, its programs, its answer
    assert calls(n_samples=3) == (30, 30 * (1 + 3 + 1))
    assert calls(per_seed={"hard": 3}) == (40, 40 * 7)
    assert calls(per_seed={"easy": 0.2, "medium": 0.2, "hard": 0.2}) == (6, 6 * 7)


def test_all_of_a_file_may_be_seeds(tmp_path: Path) -> None:
    write_tasks(SEEDS, tmp_path / "seeds.jsonl")
    source = str(tmp_path / "seeds.jsonl")
    written = QuestionsConfig(source=source, feedback=QuestionsBy.LEVELS, created=CreatedConfig())
    assert len(choose_probes(written, 99, ["expert"], (), seed=1).tasks) == len(SEEDS)
    there = QuestionsConfig(source=source, feedback=QuestionsBy.LEVELS)
    assert len(choose_probes(there, 99, ["expert"], (), seed=1).tasks) == len(SEEDS) // 2  # the others are asked


def copied(task: Task) -> Told:
    """Return a question in a task's own words."""
    return told("another", " ".join(description_of(task).split()), "return x")


def runs(folder: Path, tasks: Path, wanted: int, limit: float | None = None, **created: object) -> RoundRuns:
    """Return a round whose student has tried its probes and solved none."""
    folder.mkdir(parents=True)
    write_tasks(SEEDS[:wanted], folder / PROBES, {SEEDS[0].task_id: "sums"})
    (folder / "levels").mkdir()
    write_levels(levels(0, 0, wanted)[:wanted], folder / "levels" / LEVELS)
    questions = {"count": 40, "feedback": "levels", "created": created}
    machine = Machine(workers=2, progress=NoProgress, say=lambda text: None)
    teacher = {"model": "demo:teacher", "time_limit_seconds": limit}
    return RoundRuns(
        config=loop(tasks, questions=questions, teacher=teacher), folder=folder, student="s", seed=1001, machine=machine
    )


def created(wanted: RoundRuns, teacher: WritingTeacher, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, int]]:
    """Go through the three stages, and return what they count."""
    config = wanted.config.questions.created
    assert config is not None
    monkeypatch.setattr("distill.round_runs.open_model", lambda name, options: teacher)
    stages = CreatedStages(wanted, config)
    return {"created": stages.write(), "programs": stages.solve(), "agreement": stages.agree()}


@pytest.mark.slow
def test_what_becomes_of_questions_good_bad_and_hostile(
    few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tests = load_benchmark(str(few_tasks)).tasks
    one, two = "return [x, x]", "return [x, x + 1]"
    script = [
        SQUARES,
        THIRDS,
        told(
            "split_vote",
            "Return a list of two numbers, as the votes about it are split.",
            one,
            two,
            one,
            two,
            "return x",
        ),
        told(
            "by_chance",
            "Return any number at all that nobody could have foreseen.",
            "import random\n    return random.random()",
        ),
        told("says_nothing", "Return nothing at all whatever the argument may be.", "pass"),
        told(
            "hostile_one",
            "Return the argument unless there is something better to be done.",
            "while True: pass",
            "import os, signal\n    os.kill(os.getppid(), signal.SIGKILL)",
            "import os\n    os._exit(0)",
            "class Same:\n        def __eq__(self, other): return True\n    return Same()",
            "open('/etc/passwd', 'w')",
        ),
        told(
            "rarely_said",
            "Return one over the argument for two values and raise for others.",
            "return 1 // (x in (0, 1)) + x",
        ),
        Told(text="I would ask for the sum of all even numbers."),
        Told(text=None),
        Told(text=SQUARES.text.replace("square_sum", "sum_of_squares") if SQUARES.text else None),
        copied(SEEDS[1]),
        copied(tests[0]),
        told("one_input", "Return the argument twice, once as it is and once again.", "return x", calls=["1"]),
        Told(text="```python\nimport os\nos._exit(1)\ndef f(x=os._exit(1)):\n    'a b c d e f'\n```"),
    ]
    wanted = runs(tmp_path / "rounds" / "01", few_tasks, len(script), per_seed={"medium": 0})
    teacher = WritingTeacher(script)
    counts = created(wanted, teacher, monkeypatch)
    records = read_created(wanted.folder / CREATED)
    assert [record.fate for record in records] == [
        *(Fate.ACCEPTED, Fate.ACCEPTED, Fate.NO_AGREEMENT, Fate.NO_AGREEMENT, Fate.SAME_VALUE, Fate.NO_AGREEMENT),
        *(Fate.FEW_VALUES, Fate.NO_FUNCTION, Fate.NO_FUNCTION, Fate.NEAR_QUESTION, Fate.NEAR_SEED, Fate.NEAR_TEST),
        *(Fate.FEW_INPUTS, Fate.ODD_HEAD),
    ]
    assert counts == {
        "created": {
            "teacher_calls": 14,
            "tokens": 130,  # but for the one that was refused
            "written": 7,
            "dropped_no_function": 2,
            **dict.fromkeys(("dropped_odd_head", "dropped_few_inputs"), 1),
            **dict.fromkeys(("dropped_near_seed", "dropped_near_test", "dropped_near_question"), 1),
        },
        "programs": {"teacher_calls": 35, "tokens": 350},
        "agreement": {
            "programs": 35,
            "accepted": 2,
            "dropped_no_agreement": 3,
            "dropped_few_values": 1,
            "dropped_same_value": 1,
        },
    }
    assert [record.near for record in records if record.near] == ["Created/1001-0", SEEDS[1].task_id, tests[0].task_id]
    squares, thirds, split, *_ = records
    assert (squares.seed, squares.tier, squares.family, squares.level) == (
        SEEDS[0].task_id,
        "expert",
        "sums",
        Level.HARD,
    )
    assert [group.programs for group in squares.groups] == [(0, 1, 3), (2,), (4,)]
    assert (squares.agreement, thirds.agreement, split.agreement) == (0.6, 1.0, 0.4)
    assert squares.groups[0].values == ("0", "1", "5", "0", "385")
    assert len({prompt.seed for prompt in teacher.asked if "You invent" not in prompt.text}) == 35
    check_tasks(wanted, tests, tmp_path)


def check_tasks(wanted: RoundRuns, tests: tuple[Task, ...], folder: Path) -> None:
    """See that solutions pass by the harness's verdict, the wrong minority fails, and the kinds are kept."""
    chosen = chosen_from(wanted.folder / CREATED, tests)
    assert [task.split for task in chosen.tasks] == ["train", "train"]
    assert chosen.families == {"Created/1001-0": "sums"}
    path = folder / "questions.jsonl"
    write_tasks(chosen.tasks, path, chosen.families)
    assert load_benchmark(str(path)).tasks == chosen.tasks
    evaluate(EvalConfig(tasks=(str(path),), out=folder / "solutions", model="canonical"))
    assert [verdict.passed for verdict in load_run(folder / "solutions").verdicts()] == [True, True]
    answers = [
        ("0", "    return x * x\n"),
        ("0", "    return 385\n"),
        ("1", "    return x / 3.001\n"),
        ("1", "    return x / 3\n"),
    ]
    rows = [json.dumps({"task_id": f"Created/1001-{place}", "completion": body}) for place, body in answers]
    (folder / "answers.jsonl").write_text("\n".join(rows))
    evaluate(EvalConfig(tasks=(str(path),), out=folder / "run", samples=folder / "answers.jsonl"))
    outcomes = [verdict.outcome for verdict in load_run(folder / "run").verdicts()]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.FAILED, Outcome.PASSED]


@pytest.mark.slow
def test_a_teacher_that_fails_is_asked_for_the_rest_later(
    few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = [SQUARES, THIRDS, Told(text="prose")]
    broken = runs(tmp_path / "broken" / "01", few_tasks, 3)
    with pytest.raises(ModelUnavailable):
        created(broken, WritingTeacher(script, fails_after=0), monkeypatch)
    with pytest.raises(ModelUnavailable):
        created(broken, WritingTeacher(script, fails_after=4), monkeypatch)
    again = WritingTeacher(script)
    counts = created(broken, again, monkeypatch)
    assert len(again.asked) == 10  # the questions were there
    whole = runs(tmp_path / "whole" / "01", few_tasks, 3)
    assert created(whole, WritingTeacher(script), monkeypatch) == counts
    for name in (TEXTS, PROGRAMS, CREATED):
        assert (broken.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    # A later round drops what this one has asked.
    write_tasks(chosen_from(whole.folder / CREATED, ()).tasks, whole.folder / "questions.jsonl")
    later = runs(tmp_path / "whole" / "02", few_tasks, 3)
    (later.folder.parent / "00").mkdir()
    (later.folder.parent / "00" / "questions.jsonl").touch()  # a round that found no question
    assert created(later, WritingTeacher(script), monkeypatch)["created"]["dropped_near_seed"] == 2


def test_what_a_slow_teacher_leaves_out_is_dropped_for_no_other_reason(
    few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = runs(tmp_path / "01", few_tasks, 3, limit=60.0)
    counts = created(wanted, WritingTeacher([SQUARES, Told(text="prose"), THIRDS], in_time=2), monkeypatch)
    assert counts == {
        "created": {"teacher_calls": 2, "tokens": 20, "unanswered": 1, "written": 1, "dropped_no_function": 1},
        "programs": {"teacher_calls": 0, "tokens": 0, "unanswered": 5},
        "agreement": {"programs": 0, "accepted": 0, "dropped_no_agreement": 1},
    }
    records = read_created(wanted.folder / CREATED)
    assert [record.fate for record in records] == [Fate.NO_AGREEMENT, Fate.NO_FUNCTION, Fate.UNANSWERED]
    assert [record.groups for record in records] == [()] * 3


def test_without_anything_to_ask_nothing_is_asked(
    few_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = runs(tmp_path / "01", few_tasks, 2, per_seed={"hard": 0})
    counts = created(wanted, WritingTeacher([]), monkeypatch)
    assert counts == {
        "created": {"teacher_calls": 0, "tokens": 0, "written": 0},
        "programs": {"teacher_calls": 0, "tokens": 0},
        "agreement": {"programs": 0, "accepted": 0},
    }
    assert list(read_asked(wanted.folder / TEXTS)) == read_created(wanted.folder / CREATED) == []
    assert chosen_from(wanted.folder / CREATED, ()).tasks == ()


def test_a_record_comes_back_as_it_was_written(few_tasks: Path) -> None:
    record = CreatedQuestion(
        task_id="Created/1-0", seed="s", level=Level.EASY, tier="easy", family="", fate=Fate.NEAR_SEED, near="s"
    )
    assert msgspec.json.decode(msgspec.json.encode(record), type=CreatedQuestion) == record
    assert QuestionsConfig().created is None
