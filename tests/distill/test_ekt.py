"""EKT in the loop: what of a few-shot teacher's programs is learnt, and rounds of expert iteration.

Who writes is a fake at the harness's seam; programs run in the sandbox, and the student that is trained is a real one
of a few thousand weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import msgspec

from distill.answers import Learning, left_out_of, lessons_of
from distill.keep import KeepRule, decide
from distill.lessons import read_lessons
from distill.loop import Journal, LoopConfig, Machine, run_loop
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from distill.selection import AnswersConfig, Selection
from distill.shots import ShotSelection
from distill.task_files import write_tasks
from harness import (
    Completion,
    Decoding,
    EvalConfig,
    GenerationSettings,
    Half,
    Model,
    ModelOptions,
    NoProgress,
    NumberTests,
    Prompt,
    Run,
    StopReason,
    Task,
    UsageError,
    digest_of,
    evaluate,
    find_checkpoint,
    load_benchmark,
    load_run,
    mbpp_train,
)
from tests import made_runs

pytestmark = pytest.mark.hf
QUESTIONS = 6


@dataclass
class Writer:
    """A model that writes, for each task, what it is told to: sample after sample, the last of them for ever."""

    name: str
    texts: dict[str, tuple[str, ...]]
    digest: str = "d" * 64
    asked: list[Prompt] = field(default_factory=list)
    runtime: dict[str, str] = field(default_factory=dict)

    def versions(self) -> dict[str, str]:
        return {}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            self.asked.append(prompt)
            texts = self.texts.get(prompt.task_id, ("answer = 0\n",))
            text = texts[min(prompt.sample_index, len(texts) - 1)]
            cut = StopReason.LENGTH if text.endswith("(") else StopReason.STOP
            yield Completion(text=text, stop_reason=cut, completion_tokens=3)


def right(task: Task) -> str:
    return task.reference.removeprefix(task.prompt)


def by_hand(task: Task) -> str:
    """Return the program that only says the answer."""
    assert isinstance(task.tests, NumberTests)
    return f"answer = {task.tests.expected}\n"


def questions(count: int = QUESTIONS) -> list[Task]:
    return [question(number) for number in range(count)]


def question(number: int) -> Task:
    here, there = 33 + number, 58 + 2 * number
    prompt = f"# Box {number} holds {here} shells and {there} stones. How many things does it hold?\n"
    return Task(
        task_id=f"Box/{number}",
        prompt=prompt,
        entry_point="answer",
        reference=f"{prompt}t0 = {here} + {there}\nanswer = t0\n",
        tests=NumberTests(expected=Fraction(here + there)),
        split="train",
        tier="easy",
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return the judged answers of a few-shot teacher to three questions, eight each."""
    folder = tmp_path_factory.mktemp("judged")
    first, second, third = questions(3)
    texts = {
        first.task_id: (
            "answer = 0\n",
            by_hand(first),
            right(first),
            right(first).rstrip(),  # the same program
            right(first) + "\n# And another (",  # cut off behind its answer
            right(first).replace("answer = ", "x = 0\nanswer = "),
            "answer =",
        ),
        second.task_id: ("n0 = 5\nn1 = (", "answer = 0\n", ""),
        third.task_id: (by_hand(third)[:-1] + " + (", right(third)),
    }
    write_tasks([first, second, third], folder / "q.jsonl")
    writer = Writer(name="teacher", texts=texts)
    decoding = Decoding(protocol="ekt-3shot", n_samples=8, temperature=0.6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.backends._load", lambda name, options: writer)
        config = EvalConfig(
            tasks=(str(folder / "q.jsonl"),), model="teacher", out=folder / "answers", decoding=decoding, workers=2
        )
        evaluate(config)
    assert all(prompt.text.count("answer = ") == 3 for prompt in writer.asked)  # it was shown solved questions
    return load_run(folder / "answers")


def learnt(run: Run, right_only: bool = True, **answers: object) -> dict[str, list[str]]:
    how = Learning(right_only=right_only, answers=msgspec.convert(answers, AnswersConfig), protocol="ekt-0shot")
    found: dict[str, list[str]] = {}
    for lesson in lessons_of(run, how):
        assert lesson.prompt.count("\n") == 1  # the student's prompt is the question alone
        found.setdefault(lesson.task_id, []).append(lesson.completion)
    return found


def test_each_right_program_that_is_another_one_is_a_lesson_or_the_first_alone(judged: Run) -> None:
    first, _, third = judged.tasks()
    longer = right(first).replace("answer = ", "x = 0\nanswer = ")
    assert learnt(judged) == {first.task_id: [by_hand(first), right(first), longer], third.task_id: [right(third)]}
    assert learnt(judged, selection="first") == {first.task_id: [by_hand(first)], third.task_id: [right(third)]}


def test_lucky_programs_are_left_out_and_counted(judged: Run) -> None:
    first, _, third = judged.tasks()
    assert learnt(judged, selection="first", drop_spurious=True) == {
        first.task_id: [right(first)],
        third.task_id: [right(third)],
    }
    how = Learning(answers=AnswersConfig(drop_spurious=True), protocol="ekt-0shot")
    assert left_out_of(judged, how) == {"left_out_as_spurious": 1}


def test_unfiltered_the_first_answer_is_learnt_whatever_it_is(judged: Run) -> None:
    first, second, third = judged.tasks()
    assert learnt(judged, False, selection="first") == {
        first.task_id: ["answer = 0\n"],
        second.task_id: ["answer = 0\n"],
        third.task_id: [right(third)],
    }
    cut = learnt(judged, False, selection="first", cut_off=True)
    assert cut[second.task_id] == ["n0 = 5\nn1 = ("]


@pytest.mark.data
def test_programs_of_tasks_with_tests_are_learnt_behind_the_students_prompt(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    tasks = mbpp_train().tasks[:2]
    write_tasks(tasks, tmp_path / "q.jsonl")
    writer = Writer(name="teacher", texts={tasks[0].task_id: ("def f():\n    pass\n", tasks[0].reference)})
    monkeypatch.setattr("harness.backends._load", lambda name, options: writer)
    decoding = Decoding(protocol="austin-3shot", n_samples=2, temperature=0.6)
    run = tmp_path / "answers"
    evaluate(EvalConfig(tasks=(str(tmp_path / "q.jsonl"),), model="teacher", out=run, decoding=decoding, workers=2))
    (lesson,) = lessons_of(load_run(run), Learning(protocol="default"))
    assert lesson.prompt == tasks[0].prompt.strip() + "\n"
    assert lesson.completion == tasks[0].reference
    assert writer.asked[0].text.count("[BEGIN]") == 4


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a student that knows nothing, of a few thousand weights."""
    folder = tmp_path_factory.mktemp("student") / "student"
    tokenizer = make_tokenizer(TokenizerRecipe(kind="bpe", vocabulary=300), [task.reference for task in questions(40)])
    fields = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
    fields |= {"num_key_value_heads": 1, "max_position_embeddings": 256, "tie_word_embeddings": True}
    save(build_model(ModelRecipe(family="llama", fields=fields), tokenizer, 1), tokenizer, folder, "float32")
    return folder


@dataclass
class Growing:
    """Students at the harness's seam: the one of round n solves the first 2 n questions, in its second sample."""

    wrote: dict[str, Writer] = field(default_factory=dict)

    def load(self, name: str, options: ModelOptions) -> Model:
        trained = re.search(r"rounds/(\d+)/checkpoint", name)
        known = 2 * (1 + int(trained[1])) if trained else 2
        texts = {task.task_id: ("answer = 0\n", right(task)) for task in questions()[:known]}
        digest = digest_of(find_checkpoint(name).folder)
        return self.wrote.setdefault(name, Writer(name=name, texts=texts, digest=digest))


def expert_iteration(student: Path, folder: Path, **changes: object) -> LoopConfig:
    write_tasks(questions(), folder / "q.jsonl")
    write_tasks([replace(task, split="test") for task in load_benchmark("words-dev").tasks[:12]], folder / "dev.jsonl")
    shots = [{"question": f"{number} and {number}?", "program": f"answer = 2 * {number}"} for number in (1, 2)]
    (folder / "shots.jsonl").write_text("".join(json.dumps(one) + "\n" for one in shots))
    plain = {
        "student": str(student),
        "tasks": str(folder / "dev.jsonl"),
        "protocol": "ekt-0shot",
        "only_when_weak": False,
        "teacher": {
            "model": "student",
            "protocol": "ekt-3shot",
            "shots": str(folder / "shots.jsonl"),
            "prompt_until_trained": True,
            "n_samples": 3,
            "temperature": 0.6,
        },
        "questions": {
            "source": str(folder / "q.jsonl"),
            "count": "all",
            "feedback": "none",
            "draw": "unsolved",
            "apart_from": ["words"],
        },
        "answers": {"selection": "first"},
        "between_rounds": {"train": "first", "lessons": "all"},
        "keep": {"always": True},
        "training": {"steps": 2, "batch_size": 2},
        "rounds": 2,
    }
    return msgspec.convert(plain | changes, LoopConfig)


class Killed(Exception):
    """What a test ends a round with."""


@pytest.mark.slow
def test_expert_iteration_adds_up_what_was_solved(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    students = Growing()
    monkeypatch.setattr("harness.backends._load", students.load)
    machine = Machine(progress=NoProgress, say=lambda text: None)
    wanted = expert_iteration(student, tmp_path)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("distill.training_stage.study", killed)
        with pytest.raises(Killed):
            run_loop(wanted, tmp_path / "loop", machine)
    asked = len(students.wrote[str(student)].asked)
    first, second = run_loop(wanted, tmp_path / "loop", machine)
    rounds = [tmp_path / "loop" / "rounds" / name for name in ("01", "02")]

    # Nothing shows a gain, and each round is kept all the same.
    assert (first.kept, second.kept, second.student) == (True, True, str(rounds[1] / "checkpoint"))
    assert "every round is kept" in second.reason
    assert (first.alpha, second.alpha) == (0, 0)

    # Each round asks what is unsolved; the untrained student by solved questions, the trained one without.
    ids = [task.task_id for task in questions()]
    assert [[task.task_id for task in load_benchmark(str(one / "questions.jsonl")).tasks] for one in rounds] == [
        ids,
        ids[2:],
    ]
    shown = {False: 3, True: 1}
    for number, name in enumerate((str(student), str(rounds[0] / "checkpoint"))):
        prompts = [one.text for one in students.wrote[name].asked if one.task_id in ids]
        assert {text.count("# ") for text in prompts} == {shown[number > 0]}
    assert len(students.wrote[str(student)].asked) == asked  # the killed round's answers were not asked for again

    # The first student is trained on the first right program of each question that was ever solved.
    lessons = [list(read_lessons(one / "lessons.jsonl")) for one in rounds]
    assert [[(one.task_id, one.sample_index) for one in some] for some in lessons] == [
        [(ids[0], 1), (ids[1], 1)],
        [(ids[2], 1), (ids[3], 1)],
    ]
    assert [Journal(one).done()["train"].counts["lessons"] for one in rounds] == [2, 4]
    origins = [json.loads((one / "checkpoint" / "distill.json").read_bytes()) for one in rounds]
    assert {one["parent_digest"] for one in origins} == {digest_of(student)}
    contamination = json.loads((rounds[0] / "contamination.json").read_bytes())
    assert contamination["apart_from"] == {"words": load_benchmark("words").digest}
    checked = json.loads((rounds[0] / "decontamination.json").read_bytes())["benchmarks"]
    assert [one["name"] for one in checked] == ["dev", "words"]


@pytest.mark.slow
def test_a_teacher_is_shown_the_solved_questions_that_are_nearest(
    student: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Writer(name="teacher", texts={})
    monkeypatch.setattr("harness.backends._load", lambda name, options: teacher)
    wanted = expert_iteration(student, tmp_path, rounds=1)
    test = load_benchmark("words").tasks[0]
    solved = [test.prompt.strip("# \n"), *(f"A box holds {number} stones. How many stones?" for number in (58, 62))]
    rows = ({"question": words, "program": f"answer = {place}"} for place, words in enumerate(solved))
    (tmp_path / "shots.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    choosing = msgspec.structs.replace(wanted.teacher, select_shots=ShotSelection(count=1))
    loop = msgspec.structs.replace(wanted, teacher=choosing)
    run_loop(loop, tmp_path / "loop", Machine(progress=NoProgress, say=lambda text: None))
    folder = tmp_path / "loop" / "rounds" / "01"
    assert Journal(folder).done()["shots"].counts == {"solved": 3, "left_out_as_leaks": 1, "shown": 2}
    asked = {one.task_id: one.text for one in teacher.asked if one.task_id.startswith("Box/")}
    assert asked["Box/0"] == f"# {solved[1]}\nanswer = 1\n\n{questions()[0].prompt}"
    assert asked["Box/2"] == f"# {solved[2]}\nanswer = 2\n\n{questions()[2].prompt}"
    assert (
        load_run(folder / "answers").config.shots_digest
        == hashlib.sha256((folder / "shots.jsonl").read_bytes()).hexdigest()
    )
    assert json.loads((folder / "shots.json").read_bytes())["model"] == "bm25"


def test_without_a_tier_all_tasks_together_have_to_gain() -> None:
    passes = {f"T/{number}": [number < 10] for number in range(40)}
    better = {f"T/{number}": [number < 30] for number in range(40)}
    halves = dict.fromkeys(passes, Half.HELD_BACK)
    tiers = {task: "easy" if number % 2 else "hard" for number, task in enumerate(passes)}
    before, after = (made_runs.baseline(one, halves=halves, tiers=tiers) for one in (passes, better))
    kept, reason, changes = decide(before, after, None, KeepRule())
    assert kept
    assert "+50.0 points in the held-back half" in reason
    assert [one.subject for one in changes] == ["hard", "easy", "all"]
    kept, reason, _ = decide(after, before, None, KeepRule(always=True))
    assert kept
    assert "every round is kept (keep.always): -50.0 points" in reason


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"only_when_weak": False, "questions": {}}, "goes with another questions.feedback than weak-tiers"),
        ({"tasks": "words"}, "words is measured, so nothing is learnt of it anyway"),
        ({"teacher": {"model": "x", "protocol": "y", "prompt_until_trained": True}}, "for the teacher student"),
        (
            {"teacher": {"model": "student", "n_samples": 2, "temperature": 1.0, "prompt_until_trained": True}},
            "its own",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(student: Path, tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        expert_iteration(student, tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "austin-3shot"}, "has no rules for dev"),
        (
            {"teacher": {"model": "demo:teacher", "protocol": "austin-3shot"}, "answers": {}},
            "has no rules for questions",
        ),
        (
            {"teacher": {"model": "demo:teacher", "protocol": "default", "shots": "none.jsonl"}, "answers": {}},
            "none.jsonl",
        ),
        (
            {
                "teacher": {"model": "demo:teacher", "shots": "none.jsonl"},
                "questions": {"source": "ladder", "count": 2, "feedback": "none"},
                "protocol": "default",
                "answers": {},
            },
            "teacher.shots are for questions with numbers, and ladder has no such",
        ),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_done(
    student: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    machine = Machine(progress=NoProgress, say=lambda text: None)
    with pytest.raises(UsageError, match=said):
        run_loop(expert_iteration(student, tmp_path, **changes), tmp_path / "loop", machine)
    assert not (tmp_path / "loop" / "rounds").exists()


def test_a_selection_is_by_name() -> None:
    assert msgspec.convert({"selection": "first"}, AnswersConfig).selection is Selection.FIRST
