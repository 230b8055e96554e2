"""Texts and chats to vLLM in this process and to `vllm serve`: byte for byte and token for token as to transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from harness import GenerationSettings, Model, ModelOptions, Prompt, UsageError, open_model
from harness.chat import Chat, Message
from harness.models.seam import Reading

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.vllm_engine import VllmModel

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

TEXTS = ("def f(x):\n    return", "", " \n\tnaïve ☃ 𝄞\n\n", "loop:", "end:")
TURNS = ((Message("user", "  Write f.\n"),), (Message("system", "Code:"), Message("user", "naïve ☃ <|other|>\n\n x")))
CHATS = tuple(Chat(messages=turns, prefill=prefill) for turns in TURNS for prefill in ("", "Here:\n    ", "end:"))
SETTINGS = GenerationSettings(max_new_tokens=8, stop=("\nclass",))


def prompts(*texts: str | Chat) -> list[Prompt]:
    return [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=i) for i, text in enumerate(texts)]


def written(model: Model, asked: list[Prompt]) -> list[tuple[str, Any, int | None]]:
    """Return what a model writes; a server of vLLM keeps the bytes of a character back that is not whole yet."""
    answers = model.generate(asked, SETTINGS)
    return [(one.text.rstrip("\ufffd"), one.stop_reason, one.prompt_tokens) for one in answers]


def test_the_engine_is_asked_what_transformers_is(engine: VllmModel, reference: LocalModel) -> None:
    asked = prompts(*TEXTS, *CHATS)
    expected = reference.asked(asked, SETTINGS)
    assert engine.asked(asked, SETTINGS) == expected
    assert (engine.tokenizer_digest, engine.template_digest) == (reference.tokenizer_digest, reference.template_digest)
    assert reference.template_digest
    step = engine._engine.step
    given: dict[str, tuple[int, ...]] = {}

    def noting() -> Any:
        outputs = step()
        given.update({output.request_id: tuple(output.prompt_token_ids) for output in outputs})
        return outputs

    engine._engine.step = noting
    try:
        assert written(engine, asked) == written(reference, asked)
    finally:
        engine._engine.step = step
    assert sorted(given.values()) == sorted(one.tokens for one in expected if one.tokens is not None)


def test_a_server_is_sent_the_same_tokens(base_url: str, reference: LocalModel, folder: Path) -> None:
    options = ModelOptions(backend="openai", base_url=base_url, tokenizer=str(folder))
    served = open_model("singer", options)
    asked = prompts(*TEXTS, *CHATS)
    assert isinstance(served, Reading)
    assert served.asked(asked, SETTINGS) == reference.asked(asked, SETTINGS)
    assert (served.tokenizer_digest, served.template_digest) == (reference.tokenizer_digest, reference.template_digest)
    assert written(served, asked) == written(reference, asked)


def test_a_server_makes_the_same_tokens_of_texts_and_of_chats(base_url: str, reference: LocalModel) -> None:
    alone = [one for one in CHATS if not one.prefill]
    texts = [text for text in TEXTS if text]
    for text, asked in zip(texts, reference.asked(prompts(*texts), SETTINGS), strict=True):
        assert tokenized(base_url, prompt=text) == asked.tokens
    for chat, asked in zip(alone, reference.asked(prompts(*alone), SETTINGS), strict=True):
        turns = [{"role": one.role, "content": one.content} for one in chat.messages]
        assert tokenized(base_url, messages=turns) == asked.tokens
    served = open_model("singer", ModelOptions(backend="openai", base_url=base_url))
    assert written(served, prompts(*alone)) == written(reference, prompts(*alone))
    with pytest.raises(UsageError, match="--tokenizer"):
        served.generate(prompts(CHATS[1]), SETTINGS)


def tokenized(base_url: str, **what: Any) -> tuple[int, ...]:
    """Return the tokens that a server of vLLM makes of a text or a chat, by an endpoint of its own."""
    content = json.dumps({"model": "singer", **what}).encode()
    asked = Request(base_url.removesuffix("/v1") + "/tokenize", content, {"content-type": "application/json"})
    with urlopen(asked, timeout=120) as reply:
        return tuple(json.load(reply)["tokens"])
