"""`vllm serve` as the server of the backend openai: the real thing, beside the hand-made one of test_server.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness import GenerationSettings, ModelOptions, ModelUnavailable, Prompt, StopReason, UsageError, open_model

if TYPE_CHECKING:
    from harness.models.local import LocalModel

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TEXTS = ["stop:", "end:", "mark:", "one:", "loop:", "def f(x):\n", "import os\nfor i in", "class A:\n    def g"]


def asked(texts: list[str]) -> list[Prompt]:
    return [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=i) for i, text in enumerate(texts)]


def test_a_server_of_vllm_answers_as_transformers_does(base_url: str, reference: LocalModel) -> None:
    model = open_model("singer", ModelOptions(backend="openai", base_url=base_url))
    settings = GenerationSettings(max_new_tokens=24, stop=("\nclass", "\ndef "))
    expected = list(reference.generate(asked(TEXTS), settings))
    assert {one.stop_reason for one in expected} == {StopReason.STOP, StopReason.LENGTH}
    answered = list(model.generate(asked(TEXTS), settings))
    assert [(one.text, one.stop_reason, one.prompt_tokens) for one in answered] == [
        (one.text, one.stop_reason, one.prompt_tokens) for one in expected
    ]


def test_a_server_of_vllm_keeps_to_seeds(base_url: str) -> None:
    model = open_model("singer", ModelOptions(backend="openai", base_url=base_url))
    settings = GenerationSettings(max_new_tokens=24, temperature=1.0, top_p=0.95)
    first = [one.text for one in model.generate(asked(TEXTS[-3:] * 2), settings)]
    assert [one.text for one in model.generate(asked(TEXTS[-3:] * 2), settings)] == first
    assert first[:3] != first[3:], "the same prompts, with other seeds"


def test_what_a_server_of_vllm_refuses_is_said(base_url: str) -> None:
    options = ModelOptions(backend="openai", base_url=base_url)
    with pytest.raises(ModelUnavailable, match=r"does not exist.*It lists: singer"):
        open_model("other", options)
    with pytest.raises(UsageError, match=r"T/0: the server refuses the request: HTTP 400: .*"):
        list(open_model("singer", options).generate(asked(["x" * 200]), GenerationSettings(max_new_tokens=24)))
