"""Thinking on a server: what is asked of it, and what is its answer, with and without the thinking in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("openai")

from model_server import MODEL, Server, chatted, said, serving

from harness import GenerationSettings, ModelOptions, Prompt, StopReason, open_model
from harness.benchmarks import load_benchmark
from harness.chat import Chat, Message
from harness.models.seam import Completion, Thinker
from harness.reasoning import ReasoningRule
from harness.records import Sample
from harness.sources import Decoding, _from_model

THOUGHT = "<think>so\ndef f</think>\n\n    return 1"
STOP = ("\ndef ", "\n```")
TEXT, CHAT = "def f():\n", Chat(messages=(Message("user", "f?"),))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def asked(server: Server, text: str | Chat = TEXT, **settings: Any) -> Completion:
    model = open_model(MODEL, ModelOptions(backend="openai", base_url=server.base_url))
    usual = {"max_new_tokens": 30, "stop": STOP, "reasoning": ReasoningRule.THINK}
    prompt = Prompt(task_id="T/0", sample_index=0, text=text, seed=0)
    (one,) = model.generate([prompt], GenerationSettings(**{**usual, **settings}))
    return one


def test_stop_strings_are_not_sent_and_cut_the_answer_here(server: Server) -> None:
    server.answer = lambda request: said(THOUGHT + "\ndef g():", "length")
    one = asked(server, max_reasoning_tokens=100)
    assert (one.text, one.stop_reason) == (THOUGHT, StopReason.STOP)
    (request,) = server.asked
    assert "stop" not in request
    assert request["max_tokens"] == 130, "thinking and answer together: a server has no other bound"
    asked(server, reasoning=ReasoningRule.NONE)
    assert server.asked[-1]["stop"] == list(STOP)


def test_what_a_server_counts_as_thinking_is_handed_on(server: Server) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    server.answer = lambda request: said(THOUGHT, usage=usage)
    assert asked(server).reasoning_tokens == 7
    server.answer = lambda request: said(THOUGHT, usage={**usage, "completion_tokens_details": None})
    assert asked(server).reasoning_tokens is None


def test_what_is_left_when_a_server_takes_the_thinking_out_is_the_answer(server: Server) -> None:
    server.chat = lambda request: chatted("s = '</think>'\n```", reasoning="Hm.\ndef f")
    for rule in (ReasoningRule.THINK, ReasoningRule.OPENED):
        one = asked(server, CHAT, reasoning=rule)
        assert (one.text, one.reasoning, one.stop_reason) == ("s = '</think>'", "Hm.\ndef f", StopReason.STOP)


def test_who_is_asked_in_chat_may_think(server: Server) -> None:
    model = open_model(MODEL, ModelOptions(backend="openai", base_url=server.base_url))
    assert isinstance(model, Thinker)
    rules = [model.reasoning(Prompt(task_id="T/0", sample_index=0, text=text, seed=0)) for text in (TEXT, CHAT)]
    assert rules == [ReasoningRule.NONE, ReasoningRule.THINK]


def test_samples_keep_the_thinking_that_a_server_took_out(tmp_path: Path) -> None:
    class Served:
        name, digest = "served", "s" * 64

        def generate(self, prompts: list[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
            how: dict[str, Any] = {"stop_reason": StopReason.LENGTH, "completion_tokens": 9}
            yield Completion(text="    return '</think>'", reasoning="Hm.", reasoning_tokens=3, **how)
            yield Completion(text="", reasoning="Hm. So", **how)

    path = tmp_path / "tasks.jsonl"
    task = {"task_id": "T/0", "prompt": TEXT, "entry_point": "f", "test": "def check(candidate):\n    assert True\n"}
    path.write_text(json.dumps(task | {"canonical_solution": "    return 1\n", "tier": "easy"}) + "\n")
    benchmark = load_benchmark(str(path))
    decoding = Decoding(reasoning="opened", n_samples=2, temperature=1.0)
    source = _from_model(Served(), benchmark, benchmark.tasks, decoding, ("default", "openai"))
    first, second = source.samples(())
    assert first == Sample(
        task_id="T/0",
        sample_index=0,
        completion="    return '</think>'",
        program=TEXT + "    return '</think>'",
        stop_reason=StopReason.LENGTH,
        completion_tokens=9,
        reasoning="Hm.",
        reasoning_tokens=3,
        seed=first.seed,
        extraction=first.extraction,
    )
    assert (second.reasoning, second.reasoning_tokens) == ("Hm. So", 9), "all that it wrote is thinking"
