"""Thinking is no answer: the rules for texts, and what a model on this machine makes of them, to the token."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.chat import Chat, Message
from harness.models.endings import RowWatch
from harness.models.patience import Patience
from harness.models.requests import Reader, Request
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.models.server import ServerModel
from harness.reasoning import ReasoningRule, answer_of, answer_start, cut_answer
from harness.records import StopReason

if TYPE_CHECKING:
    from harness.models.local import LocalModel

Spent = tuple[int, int, bool]
NONE, THINK, OPENED = ReasoningRule.NONE, ReasoningRule.THINK, ReasoningRule.OPENED
STOP = ("\ndef ", "\nclass")

# --- texts


@pytest.mark.parametrize(
    ("completion", "rule", "answer"),
    [
        ("<think>a</think>b", THINK, "b"),
        (" \n<think>\na\n</think>\n\n    b\n", THINK, "    b\n"),
        ("a</think>\nb", OPENED, "b"),
        ("<think>a</think>b", OPENED, "b"),
        ("</think>b", OPENED, "b"),
        ("<think>a</think>b</think>c", THINK, "b</think>c"),
        ("<think>a<think>b</think>c", THINK, "c"),
        ("x = '<think>a</think>'", THINK, "x = '<think>a</think>'"),
        ("s = '</think>'", THINK, "s = '</think>'"),
        ("<think>a</think>s = '<think></think>'", THINK, "s = '<think></think>'"),
        ("<think>a", THINK, ""),
        ("a", OPENED, ""),
        ("<think>a</think", THINK, ""),
        ("<thinking>a</think>b", THINK, "<thinking>a</think>b"),
        ("<think>a</think>b", NONE, "<think>a</think>b"),
        ("", THINK, ""),
        ("", NONE, ""),
    ],
)
def test_the_answer_is_what_is_no_thinking(completion: str, rule: ReasoningRule, answer: str) -> None:
    assert answer_of(completion, rule) == answer


def test_thinking_without_an_end_has_no_answer_and_an_empty_answer_is_one() -> None:
    assert answer_start("<think>a", THINK) is None
    assert answer_start("<think>a</think>", THINK) == len("<think>a</think>")
    assert answer_start("", THINK) == 0


@pytest.mark.parametrize(
    ("completion", "rule", "cut"),
    [
        ("abcdef", NONE, "ab"),
        ("<think>cde</think>\n\nabcdef", THINK, "<think>cde</think>\n\nab"),
        ("<think>cde", THINK, "<think>cde"),
        ("cde</think>xcde", OPENED, "cde</think>"),
    ],
)
def test_the_earliest_stop_string_behind_the_thinking_cuts(completion: str, rule: ReasoningRule, cut: str) -> None:
    assert cut_answer(completion, rule, ("de", "cde", "x")) == cut
    assert cut_answer(completion, rule, ()) == completion


@pytest.mark.parametrize(
    "unit", ["<think>", "</think>", "<think></think>", "\n", "<", "\ud800", "</think>\n", " <think>"]
)
@pytest.mark.parametrize("rule", list(ReasoningRule))
def test_hostile_texts_take_linear_time(unit: str, rule: ReasoningRule) -> None:
    start = time.process_time()
    for before in ("", "<think>", "<think></think>"):
        text = before + unit * (3_000_000 // len(unit))
        assert text.endswith(answer_of(text, rule))
        assert text.startswith(cut_answer(text, rule, STOP))
    assert time.process_time() - start < 2


# --- tokens


@pytest.fixture(scope="module", params=["words", "special"])
def thinker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """Return a model that thinks; its marks are plain tokens, as Qwen3's, or special ones."""
    if os.environ.get("HARNESS_CI") != "1":
        pytest.importorskip("torch")
        pytest.importorskip("transformers")
    from made_checkpoints import THOUGHTS, make_parrot

    from harness.models.local import LocalModel

    folder = tmp_path_factory.mktemp("thinker")
    make_parrot(folder, THOUGHTS, ["<think>", "</think>"] if request.param == "special" else [])
    return LocalModel.load(str(folder), device="cpu")


def said(model: LocalModel, *texts: str, **settings: Any) -> list[Completion]:
    prompts = [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=i) for i, text in enumerate(texts)]
    usual = {"max_new_tokens": 60, "stop": STOP, "reasoning": THINK}
    return list(model.generate(prompts, GenerationSettings(**{**usual, **settings})))


LINES = "".join(f"row {i}\n" for i in range(30))


@pytest.mark.hf
def test_stop_strings_act_behind_the_thinking_alone(thinker: LocalModel) -> None:
    think, long, plain, blank = said(thinker, "think:", "long:", "plain:", "blank:")
    assert think == Completion(
        text="<think>is it\ndef f? yes</think>\n\n    return 1",
        stop_reason=StopReason.STOP,
        prompt_tokens=1,
        completion_tokens=8,
        reasoning_tokens=5,
    )
    assert long.text == f"<think>so{LINES}</think>\n\ndef f():\n  x", "the answer begins behind the line ends"
    assert (long.stop_reason, long.completion_tokens, long.reasoning_tokens) == (StopReason.STOP, 34, 32)
    assert (plain.text, plain.reasoning_tokens) == ("    s = '</think>", 0)
    assert (blank.text, blank.reasoning_tokens) == ("\n \n    y", 0)
    (open_,) = said(thinker, "open:", reasoning=OPENED, stop=("not", "ss"))
    assert (open_.text, open_.reasoning_tokens, open_.completion_tokens) == ("or not </think>\n\n\n    pa", 4, 6)


@pytest.mark.hf
def test_without_a_rule_a_completion_is_its_answer(thinker: LocalModel) -> None:
    (think,) = said(thinker, "think:", reasoning=NONE)
    assert think.text.endswith("is it")
    assert think.reasoning_tokens is None


@pytest.mark.hf
def test_thinking_that_does_not_end_goes_to_the_limit_or_to_the_end_token(thinker: LocalModel) -> None:
    endless, ended = said(thinker, "endless:", "ended:")
    assert (endless.stop_reason, endless.completion_tokens, endless.reasoning_tokens) == (StopReason.LENGTH, 60, 60)
    assert (ended.text, ended.stop_reason) == ("<think>hm", StopReason.STOP)
    assert (ended.completion_tokens, ended.reasoning_tokens) == (2, 1)
    assert answer_of(endless.text, THINK) == answer_of(ended.text, THINK) == ""


@pytest.mark.hf
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize(
    ("budget", "answer", "think", "long", "endless"),  # tokens, those of the thinking, and whether it came to its end
    [
        (5, 60, (8, 5, True), (5, 5, False), (5, 5, False)),
        (4, 60, (4, 4, False), (4, 4, False), (4, 4, False)),
        (31, 2, (7, 5, False), (31, 31, False), (31, 31, False)),
        (32, 1, (6, 5, False), (33, 32, False), (32, 32, False)),
        (32, 60, (8, 5, True), (35, 32, True), (32, 32, False)),
    ],
)
def test_budgets_are_kept_to_the_token(
    thinker: LocalModel, batch: int, budget: int, answer: int, think: Spent, long: Spent, endless: Spent
) -> None:
    texts = ("think:", "long:", "endless:", "plain:", "long:")
    got = said(thinker, *texts, max_reasoning_tokens=budget, max_new_tokens=answer, batch_size=batch, stop=("\ndef ",))
    spent = [(one.completion_tokens, one.reasoning_tokens, one.stop_reason is StopReason.STOP) for one in got]
    assert spent == [think, long, endless, (min(answer, 4), 0, answer > 3), long]


@pytest.mark.hf
@pytest.mark.parametrize(
    ("length", "think", "plain"), [(3, (7, 5, False), (2, 0, False)), (99, (8, 5, True), (4, 0, True))]
)
def test_thinking_with_a_budget_of_its_own_takes_no_room_from_the_answer(
    thinker: LocalModel, length: int, think: Spent, plain: Spent
) -> None:
    """Behind a prompt of one token, `max_length` leaves the answer the others."""
    got = said(thinker, "think:", "plain:", max_length=length, max_reasoning_tokens=9, batch_size=2, stop=("\ndef ",))
    spent = [(one.completion_tokens, one.reasoning_tokens, one.stop_reason is StopReason.STOP) for one in got]
    assert spent == [think, plain]
    (shared,) = said(thinker, "think:", max_length=length)
    assert shared.completion_tokens == (2 if length == 3 else 8), "without one, thinking and answer share it"


@pytest.mark.hf
def test_a_budget_that_is_used_up_leaves_no_answer(thinker: LocalModel) -> None:
    (late,) = said(thinker, "think:", max_reasoning_tokens=4)
    assert (late.text, late.stop_reason) == ("<think>is it\ndef f? yes", StopReason.LENGTH)
    (late,) = said(thinker, "open:", reasoning=OPENED, max_reasoning_tokens=3)
    assert (late.text, late.reasoning_tokens) == ("or not </th", 3)


@pytest.mark.hf
def test_a_row_that_is_over_its_budget_holds_nobody_up(thinker: LocalModel) -> None:
    steps: list[int] = []
    real = thinker._model.generate

    def counting(**arguments: Any) -> Any:
        rows = real(**arguments)
        steps.append(rows.shape[1])
        return rows

    thinker._model.generate = counting
    try:
        said(thinker, "endless:", "endless:", max_reasoning_tokens=10, max_new_tokens=70)
    finally:
        del thinker._model.generate
    assert steps[0] < 10 + 10


@pytest.mark.hf
def test_tokens_that_come_many_at_once_are_all_looked_at(thinker: LocalModel) -> None:
    tokenizer = thinker._tokenizer
    settings = GenerationSettings(stop=("ab",))
    watch = RowWatch(tokenizer, Request(place=0, tokens=[], limit=99, seed=0, settings=settings))
    assert not watch.add(tokenizer("x" * 20 + "a")["input_ids"])
    assert watch.add(tokenizer("b" + "x" * 20)["input_ids"])


@pytest.mark.hf
def test_the_tokenizer_says_which_rule_fits(thinker: LocalModel) -> None:
    reader = thinker._reader
    assert isinstance(reader, Reader)

    def rule(text: str) -> ReasoningRule:
        return thinker.reasoning(Prompt(task_id="T/0", sample_index=0, text=text, seed=0))

    assert (rule("def f():\n"), rule("x <think>"), rule("x <think>\n\n")) == (THINK, OPENED, OPENED)
    assert rule("<think>\n\n</think>\n\n") is THINK
    served = ServerModel(name="m", address="http://localhost:1/v1", patience=Patience(), reader=reader)
    assert served.reasoning(Prompt(task_id="T/0", sample_index=0, text="x <think>", seed=0)) is OPENED


@pytest.mark.hf
def test_a_model_that_knows_no_marks_does_not_think(tmp_path: Path, thinker: LocalModel) -> None:
    from made_checkpoints import make_parrot

    from harness.models.local import LocalModel

    make_parrot(tmp_path)
    model = LocalModel.load(str(tmp_path), device="cpu")
    prompt = Prompt(task_id="T/0", sample_index=0, text="x <think>", seed=0)
    assert model.reasoning(prompt) is NONE
    model._tokenizer.chat_template = "{{ messages }}<think></think>"
    assert model.reasoning(prompt) is OPENED, "in some vocabularies the marks are several tokens"
    model._tokenizer.chat_template = "{{ messages[0]['content'] }}<think>\n{# up to </think> #}"
    chat = replace(prompt, text=Chat(messages=(Message("user", "x"),)))
    assert model.reasoning(chat) is OPENED, "as DeepSeek-R1's template has it"
    assert model.reasoning(replace(prompt, text="x")) is THINK
