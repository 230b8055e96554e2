"""Thinking in vLLM's engine, beside transformers: what its answers are, what it costs, and where it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.model_options import ModelOptions
from harness.models.seam import Completion, GenerationSettings, Model, Prompt
from harness.reasoning import ReasoningRule
from harness.records import StopReason

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.vllm_engine import VllmModel

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TEXTS = ["think:", "long:", "endless:", "ended:", "plain:", "blank:", "def f(x):\n    "]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from made_checkpoints import THOUGHTS, make_singer

    path = tmp_path_factory.mktemp("checkpoints") / "thinker"
    make_singer(path, THOUGHTS)
    return path


@pytest.fixture(scope="module")
def local(checkpoint: Path) -> LocalModel:
    from harness.models.local import LocalModel

    return LocalModel.load(str(checkpoint), device="cpu")


@pytest.fixture(scope="module")
def thinker(checkpoint: Path) -> Iterator[VllmModel]:
    from harness.models.vllm_engine import VllmModel

    model = VllmModel.load(str(checkpoint), ModelOptions(backend="vllm", enforce_eager=True))
    yield model
    model.close()


def said(model: Model, **settings: Any) -> list[Completion]:
    asked = [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=i) for i, text in enumerate(TEXTS)]
    usual = {"max_new_tokens": 60, "stop": ("\ndef ", "\nclass"), "reasoning": ReasoningRule.THINK}
    return list(model.generate(asked, GenerationSettings(**{**usual, **settings})))


def test_thinking_is_what_it_is_with_transformers_to_the_token(thinker: VllmModel, local: LocalModel) -> None:
    think, long, endless, ended, *_ = said(thinker)
    assert (think.text, think.reasoning_tokens) == ("<think>is it\ndef f? yes</think>\n\n    return 1", 5)
    assert long.text.endswith("</think>\n\ndef f():\n  x")
    assert (endless.stop_reason, endless.reasoning_tokens) == (StopReason.LENGTH, 60)
    assert (ended.stop_reason, ended.text) == (StopReason.STOP, "<think>hm")
    assert said(thinker) == said(local, batch_size=1)
    opened = {"reasoning": ReasoningRule.OPENED, "stop": ("x",)}
    assert said(thinker, **opened) == said(local, batch_size=1, **opened)
    for budget in (4, 5, 31, 32):
        for answer in (1, 30):
            bounds = {"max_reasoning_tokens": budget, "max_new_tokens": answer}
            assert said(thinker, **bounds) == said(local, batch_size=1, **bounds)


def test_the_tokenizer_says_that_it_thinks(thinker: VllmModel) -> None:
    def rule(text: str) -> ReasoningRule:
        return thinker.reasoning(Prompt(task_id="T/0", sample_index=0, text=text, seed=0))

    assert (rule("def f():\n"), rule("x <think>\n")) == (ReasoningRule.THINK, ReasoningRule.OPENED)
