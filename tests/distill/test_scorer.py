"""A scoring model learns a teacher's assessments, of tasks to train on alone, and shows it on others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("peft")

import made_runs
import msgspec
from click.testing import CliRunner

from distill.command import distill
from distill.config import load_recipe, shipped, with_changes
from distill.feedback import FEEDBACK, FeedbackConfig, give_feedback
from distill.fitting import ADAPTER
from distill.lessons import LeakageError
from distill.model_view import scoring_prompt
from distill.scorer import REPORT, ScorerConfig, agreement_with, assessments_of, make_scorer
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from harness import (
    Completion,
    GenerationSettings,
    ModelUnavailable,
    Prompt,
    StopReason,
    UsageError,
    load_benchmark,
    load_run,
    open_model,
)

pytestmark = pytest.mark.hf

BODIES = {"    return x + {}\n": "2 1 1 1 1", "    return None  # {}\n": "0 0 0 1 1", "    raise {}\n": "0 0 0 0 0"}
WORDS = dict(zip(("return x", "return None", "raise"), BODIES.values(), strict=True))
TASKS, EACH = 26, 6


def assessment(points: str) -> str:
    lines = [f"Rule {number}. Name: {one}" for number, one in enumerate(points.split(), 1)]
    return "Score:\n" + "\n".join(lines) + "\n"


class Reviewer:
    """A teacher at the harness's seam that scores programs by what they do, and fails from the n-th on."""

    name, digest = "reviewer", "v" * 64

    def __init__(self, fails_at: int | None = None) -> None:
        self.asked, self.fails_at = 0, fails_at

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            if self.asked == self.fails_at:
                raise ModelUnavailable("the server is gone")
            self.asked += 1
            (points,) = (points for word, points in WORDS.items() if word in prompt.text.partition("### Program")[2])
            yield Completion(text=assessment(points), stop_reason=StopReason.STOP)


def program(task: int, index: int) -> str:
    body = list(BODIES)[(task + index) % len(BODIES)]
    return f"def f{task}(x):\n" + body.format(10 * task + index)


def write_run(folder: Path, tasks: int, each: int, split: str = "train") -> Path:
    """Write a finished run with programs of all kinds."""
    rows = [
        {
            "task_id": f"T/{number}",
            "prompt": f"def f{number}(x):\n",
            "entry_point": f"f{number}",
            "canonical_solution": "    return x\n",
            "test": "def check(candidate):\n    assert candidate(1) == 1\n",
            "split": split,
        }
        for number in range(tasks)
    ]
    folder.mkdir()
    file = folder / "tasks.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"benchmark": str(file), "dataset_source": str(file), "dataset_digest": load_benchmark(str(file)).digest}
    passes = {f"T/{number}": [False] * each for number in range(tasks)}
    run = made_runs.write_run(folder / "run", passes, tiers=dict.fromkeys(passes, "easy"), **source)
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for one in samples:
        one["program"] = program(int(one["task_id"][2:]), one["sample_index"])
    (run / "samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in samples))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "train", TASKS, EACH)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small model that knows nothing yet, with the tokens of such prompts."""
    texts = [scoring_prompt(f"def f{task}(x):\n", program(task, index)) for task in range(TASKS) for index in range(3)]
    tokenizer = make_tokenizer(TokenizerRecipe(vocabulary=400), [program(task, 0) for task in range(TASKS)])
    rubric = set(texts[0].splitlines()).intersection(texts[1].splitlines())
    whole = {line for line in rubric if len(line) > 10} | {f"Rule {rule}. Name: " for rule in range(1, 6)}
    tokenizer.add_tokens(sorted(whole))  # what is always the same is a token, or a small model would need minutes
    fields = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 1024,
    }
    folder = tmp_path_factory.mktemp("base")
    save(build_model(ModelRecipe(family="qwen2", fields=fields), tokenizer, 0), tokenizer, folder)
    return folder


def config(base: Path, **changes: Any) -> ScorerConfig:
    training = {"steps": 200, "batch_size": 16, "learning_rate": 3e-3, "warmup_steps": 0.1}
    plain = {"model": str(base), "teacher": "nobody", "held_back": 0.2, "max_new_tokens": 60, "training": training}
    return msgspec.convert({**plain, **changes}, ScorerConfig)


@pytest.mark.slow
def test_a_scoring_model_gives_the_teachers_points_to_programs_of_other_tasks(
    base: Path, run: Path, tmp_path: Path
) -> None:
    wanted = config(base)
    teacher = Reviewer()
    report = make_scorer(wanted, [run], tmp_path, teacher=teacher)
    assert teacher.asked == report.assessed == TASKS * EACH
    assert (report.rows, report.held_back) == (21 * EACH, 5 * EACH)
    assert report.teachers == ("reviewer",)
    ours = report.agreement
    assert ours.programs == 5 * EACH
    assert ours.readable == ours.programs
    assert ours.equal > 1.5 * ours.most_common

    held_back = list(assessments_of(load_run(run), tmp_path / "feedback" / "01" / FEEDBACK))[:6]
    before = agreement_with(open_model(str(base)), held_back, GenerationSettings(max_new_tokens=60))
    assert before.equal == 0
    assert json.loads((tmp_path / REPORT).read_text())["agreement"]["equal"] == ours.equal
    assert make_scorer(wanted, [run], tmp_path, teacher=teacher) == report  # it is finished: nobody is asked again
    assert teacher.asked == TASKS * EACH


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run on three tasks, for what does not depend on how well is learnt."""
    return write_run(tmp_path_factory.mktemp("runs") / "few", 3, 3)


def quick(base: Path, **changes: Any) -> ScorerConfig:
    return config(base, max_new_tokens=2, training={"steps": 1, "batch_size": 2}, **changes)


def test_tasks_of_a_test_set_are_refused_before_anybody_is_asked(base: Path, few: Path, tmp_path: Path) -> None:
    of_tests = write_run(tmp_path / "tests", 3, 3, split="test")
    teacher = Reviewer()
    with pytest.raises(LeakageError, match=r"T/0 is of the split 'test'.*trained on train"):
        make_scorer(quick(base), [few, of_tests], tmp_path / "scorer", teacher=teacher)
    feedback = give_feedback(load_run(of_tests), tmp_path, FeedbackConfig(lint=False), teacher)
    with pytest.raises(LeakageError):
        make_scorer(quick(base), [of_tests], tmp_path / "scorer", [feedback])
    assert teacher.asked == 9  # for that feedback alone
    assert not (tmp_path / "scorer").exists()


@pytest.mark.slow
def test_a_teacher_that_fails_is_asked_for_the_others_later(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill.feedback.BATCH", 2)
    with pytest.raises(ModelUnavailable):
        make_scorer(quick(base), [few], tmp_path, teacher=Reviewer(fails_at=5))
    teacher = Reviewer()
    report = make_scorer(quick(base), [few], tmp_path, teacher=teacher)
    assert (teacher.asked, report.assessed) == (5, 9)
    assert (report.rows, report.held_back, report.steps) == (6, 3, 1)


@pytest.mark.slow
def test_assessments_without_all_points_are_not_learnt_and_none_are_said(base: Path, few: Path, tmp_path: Path) -> None:
    path = give_feedback(load_run(few), tmp_path, FeedbackConfig(lint=False), Reviewer())
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["model"] |= {"text": "Fine.", "score": None, "points": [None] * 5, "reason": "no points for rule 1"}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = make_scorer(quick(base, seed=1), [few], tmp_path / "scorer", [path])
    assert report.rows + report.held_back == report.assessed - 1 == 8
    for line in lines[3:]:
        line["model"] = None
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UsageError, match="1 tasks have an assessment"):
        make_scorer(quick(base), [few], tmp_path / "other", [path])


def test_feedback_is_that_on_the_run(base: Path, few: Path, run: Path, tmp_path: Path) -> None:
    path = give_feedback(load_run(few), tmp_path, FeedbackConfig(lint=False), Reviewer())
    with pytest.raises(UsageError, match="one for each run, or none"):
        make_scorer(quick(base), [few, run], tmp_path / "scorer", [path])
    other = tmp_path / "other.jsonl"
    other.write_text(path.read_text().replace('"T/0"', '"T/99"'))
    with pytest.raises(UsageError, match=r"other.jsonl is no feedback on .*: see T/99\[0\]"):
        make_scorer(quick(base), [few], tmp_path / "scorer", [other])
    other.write_text(path.read_text().replace('"failed"', '"error"'))
    with pytest.raises(UsageError, match="is no feedback on"):
        make_scorer(quick(base), [few], tmp_path / "scorer", [other])


@pytest.mark.slow
def test_a_training_of_other_settings_is_not_gone_on_with(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = give_feedback(load_run(few), tmp_path, FeedbackConfig(lint=False), Reviewer())
    training = {"steps": 2, "batch_size": 2, "learning_rate": 0.1}
    with monkeypatch.context() as patch:
        patch.setattr("distill.scorer.save", lambda *_: 1 // 0)  # as if killed behind the training
        with pytest.raises(ZeroDivisionError):
            make_scorer(quick(base), [few], tmp_path / "one", [path])
    assert len(list((tmp_path / "one" / "training").iterdir())) == 1
    for name in ("one", "two"):
        make_scorer(config(base, max_new_tokens=2, training=training), [few], tmp_path / name, [path])
    assert len({(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")}) == 1
    assert not (tmp_path / "one" / "training").exists()


@pytest.mark.slow
def test_the_shipped_recipe_makes_a_model_that_can_be_named_as_a_scorer(base: Path, few: Path, tmp_path: Path) -> None:
    assert shipped("scorer") == ("qwen2.5-coder-1.5b",)
    path = give_feedback(load_run(few), tmp_path, FeedbackConfig(lint=False), Reviewer())
    out = tmp_path / "scorer"
    changes = [f"model={base}", "max_new_tokens=2", "training.batch_size=2", "training.gradient_accumulation_steps=2"]
    options = [option for change in changes for option in ("--set", change)]
    arguments = [
        "scorer",
        str(few),
        "--recipe",
        "qwen2.5-coder-1.5b",
        *options,
        "--feedback",
        str(path),
        "-o",
        str(out),
    ]
    made = CliRunner().invoke(distill, arguments)
    assert made.exit_code == 0, made.output
    assert "6 of 9 assessments learnt in 5 steps" in made.stdout  # 3 epochs of 6 rows, 4 a step
    assert "on 3 programs of other tasks: 0 scores to be read" in made.stdout
    recipe = with_changes(load_recipe("scorer", "qwen2.5-coder-1.5b", ScorerConfig), changes)
    assert (out / "scorer.yaml").read_text().startswith(f"model: {base}")
    assert recipe.training.lora is not None
    assert (out / ADAPTER / "adapter_config.json").is_file()
    assert json.loads((out / "config.json").read_text())["dtype"] == "bfloat16"
    views = FeedbackConfig(scorer=str(out), lint=False, max_new_tokens=2)
    first = json.loads(give_feedback(load_run(few), tmp_path / "f", views).read_text().splitlines()[0])
    assert first["model"]["model"] == str(out)
    wrong = CliRunner().invoke(distill, ["scorer", str(few), "--recipe", "none", "-o", str(out)])
    assert isinstance(wrong.exception, UsageError)
    assert "no recipe 'none': use one of qwen2.5-coder-1.5b" in str(wrong.exception)
