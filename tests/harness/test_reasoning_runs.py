"""Runs of models that think before they answer: what is judged, counted and recorded, and which option does what."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import Completion, EvalConfig, GenerationSettings, Prompt, StopReason, UsageError, evaluate
from harness.answers import answer, shortcoming
from harness.benchmarks import load_benchmark
from harness.cli import eval_command
from harness.commands import eval_config
from harness.print_report import print_reports
from harness.reasoning import ReasoningRule
from harness.records import Outcome, Report, Sample, Tokens
from harness.report import Tally
from harness.runs import load_run
from harness.sources import Decoding, Source, _from_model
from harness.store import read_config, read_lines

NONE, THINK, OPENED = ReasoningRule.NONE, ReasoningRule.THINK, ReasoningRule.OPENED


class Scripted:
    """A model that says one text, and of itself that it thinks."""

    name, digest = "scripted", "s" * 64

    def __init__(self, text: str, why: StopReason = StopReason.STOP, rule: ReasoningRule = THINK) -> None:
        self._said = Completion(text=text, stop_reason=why, completion_tokens=9, reasoning_tokens=4)
        self._rule = rule
        self.settings = GenerationSettings()

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        assert prompt.text == "def f(*_):\n"
        return self._rule

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        self.settings = settings
        return (self._said for _ in prompts)


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """Return a file of two tasks; `return 2` solves the first."""
    path = tmp_path / "tasks.jsonl"
    with path.open("w") as file:
        for number in (2, 3):
            test = f"def check(candidate):\n    assert candidate() == {number}\n"
            task = {"task_id": f"T/{number}", "prompt": "def f(*_):\n", "entry_point": "f", "test": test}
            file.write(json.dumps(task | {"canonical_solution": f"    return {number}\n", "tier": "easy"}) + "\n")
    return path


def source(tasks: Path, model: Scripted, **decoding: Any) -> Source:
    benchmark = load_benchmark(str(tasks))
    return _from_model(model, benchmark, benchmark.tasks[:1], Decoding(**decoding), ("default", "hf"))


def one(tasks: Path, model: Scripted, **decoding: Any) -> Sample:
    (sample,) = source(tasks, model, **decoding).samples(())
    return sample


def test_a_program_is_made_of_the_answer_and_the_completion_stays_as_it_was(tasks: Path) -> None:
    text = "<think>\ndef f</think>\n    return 2"
    sample = one(tasks, Scripted(text))
    assert (sample.completion, sample.program) == (text, "def f(*_):\n    return 2")
    assert (sample.reasoning_rule, sample.reasoning_tokens, sample.completion_tokens) == (THINK, 4, 9)
    assert answer(sample) == "    return 2"
    assert one(tasks, Scripted(text), reasoning="none").program == "def f(*_):\n" + text
    assert one(tasks, Scripted(text, rule=NONE)).program == "def f(*_):\n" + text
    assert one(tasks, Scripted("x</think>y"), reasoning="opened").program == "def f(*_):\ny"


@pytest.mark.parametrize(
    ("text", "rule", "why", "expected"),
    [
        ("<think>x", THINK, StopReason.LENGTH, Outcome.TRUNCATED),
        ("<think>x", THINK, StopReason.STOP, Outcome.NO_CODE),
        ("<think>x</think>\n", THINK, StopReason.LENGTH, Outcome.TRUNCATED),
        ("<think>x</think>\n", THINK, StopReason.STOP, Outcome.NO_CODE),
        ("<think>x</think>y", THINK, StopReason.LENGTH, Outcome.TRUNCATED),
        ("<think>x</think>y", THINK, StopReason.STOP, None),
        ("x", OPENED, StopReason.LENGTH, Outcome.TRUNCATED),
        ("<think>x", NONE, StopReason.STOP, None),
        (" ", THINK, StopReason.STOP, Outcome.NO_CODE),
    ],
)
def test_thinking_alone_is_no_answer(text: str, rule: ReasoningRule, why: StopReason, expected: Outcome | None) -> None:
    sample = Sample(task_id="T/2", sample_index=0, completion=text, program="x", stop_reason=why, reasoning_rule=rule)
    assert shortcoming(sample) is expected


def test_thinking_that_a_server_keeps_to_itself_is_no_answer_either() -> None:
    sample = Sample(task_id="T/2", sample_index=0, completion="", program="x", stop_reason=StopReason.LENGTH)
    assert shortcoming(replace(sample, reasoning_tokens=7)) is Outcome.TRUNCATED
    assert shortcoming(replace(sample, reasoning="Hm.")) is Outcome.TRUNCATED
    assert shortcoming(sample) is Outcome.TRUNCATED, "the limit ended it before it said anything"
    assert shortcoming(replace(sample, completion_tokens=7)) is Outcome.NO_CODE, "it said nothing but blanks"


def test_options_come_to_what_the_model_is_told(tasks: Path) -> None:
    def told(rule: ReasoningRule, **decoding: Any) -> tuple[ReasoningRule, int | None, int]:
        model = Scripted("", rule=rule)
        found = source(tasks, model, **decoding)
        list(found.samples(()))
        settings = model.settings
        assert (found.decoding.reasoning, found.decoding.max_reasoning_tokens) == (
            settings.reasoning,
            settings.max_reasoning_tokens,
        )
        return settings.reasoning, settings.max_reasoning_tokens, settings.most_tokens

    assert told(OPENED) == (OPENED, None, 768)
    assert told(THINK, reasoning="none") == (NONE, None, 768)
    assert told(NONE, reasoning="think", max_reasoning_tokens=1000) == (THINK, 1000, 1768)
    with pytest.raises(UsageError, match="none is expected of this model: leave it out, or give --reasoning think"):
        told(NONE, max_reasoning_tokens=1000)
    with pytest.raises(UsageError, match="--max-reasoning-tokens 0: at least 1"):
        told(THINK, max_reasoning_tokens=0)
    with pytest.raises(UsageError, match="--reasoning much: use one of auto, none, think, opened"):
        told(THINK, reasoning="much")


def test_the_command_line_hands_them_on_and_the_report_says_how_much_was_thought(tasks: Path) -> None:
    words = ["--model", "m", "--tasks", "t", "--reasoning", "opened", "--max-reasoning-tokens", "7"]
    with eval_command.make_context("eval", list(words)) as context:
        decoding = eval_config(context.params).decoding
    assert (decoding.reasoning, decoding.max_reasoning_tokens) == ("opened", 7)
    with eval_command.make_context("eval", words[:4]) as context:
        assert eval_config(context.params).decoding == Decoding()
    tally = Tally()
    tally.add_sample(one(tasks, Scripted("<think>")))
    assert tally.tokens() == Tokens(completion=9, reasoning=4)


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint that answers every prompt of a protocol with thoughts, and `return 2`."""
    if os.environ.get("HARNESS_CI") != "1":
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
    from made_checkpoints import ANSWERED, THOUGHTS, make_parrot

    folder = tmp_path_factory.mktemp("thinker")
    make_parrot(folder, THOUGHTS + ANSWERED)
    return folder


def run(tasks: Path, model: Path, out: Path, **decoding: Any) -> Report:
    how = Decoding(max_new_tokens=20, **decoding)
    (report,) = evaluate(EvalConfig(tasks=(str(tasks),), out=out, model=str(model), decoding=how, sandbox="docker"))
    return report


@pytest.mark.hf
@pytest.mark.docker
@pytest.mark.slow
def test_a_model_that_thinks_is_evaluated_by_its_answers(
    tasks: Path, thinker: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run(tasks, thinker, tmp_path / "run")
    assert (report.outcomes["passed"], report.outcomes["failed"]) == (1, 1)
    assert (report.tokens.completion, report.tokens.reasoning) == (10, 6)
    print_reports([report], as_json=False)
    assert "thinking: 6 of 10 tokens that were written" in capsys.readouterr().out
    config = read_config(tmp_path / "run")
    assert (config.reasoning, config.max_reasoning_tokens) == (THINK, None)
    settings = load_run(tmp_path / "run").baseline().settings
    assert (settings["reasoning"], settings["max_reasoning_tokens"]) == ("think", "None")
    first, _ = read_lines(tmp_path / "run" / "samples.jsonl", Sample)
    assert first.completion == "<think>2:\ndef f(): </think>\n    return 2"
    cut_off = run(tasks, thinker, tmp_path / "cut", max_reasoning_tokens=2)
    assert (cut_off.outcomes["truncated"], cut_off.tokens.reasoning) == (2, 4)
    taken_for_code = run(tasks, thinker, tmp_path / "none", reasoning="none")
    assert taken_for_code.outcomes["syntax"] == 2
