"""`VllmModel` beside `LocalModel` on the same checkpoint: the same tokens in, the same text and counts out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.errors import ModelUnavailable, UsageError
from harness.model_options import ModelOptions
from harness.models.seam import Completion, GenerationSettings, Model, Prompt
from harness.records import StopReason

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.vllm_engine import VllmModel

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

CONTEXT = 96
TEXTS = ("def f(x):\n    return x + 1\n", "import os\nfor i in range(9):\n")
DREAMS = [text[:size] for text in TEXTS for size in (3, 9, 20)]
SUNG = ["stop:", "end:", "loop:", "late:", "mark:", "one:"]
ODD = ["", "x" * (CONTEXT - 5), "x" * (CONTEXT - 1), "x\ndef loop:", "naïve ☃ 𝄞"]


def prompts(texts: Sequence[str], seed: int = 0) -> list[Prompt]:
    return [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=seed + i) for i, text in enumerate(texts)]


def run(model: Model, asked: Sequence[Prompt], **settings: Any) -> list[Completion]:
    return list(model.generate(asked, GenerationSettings(**{"max_new_tokens": 24, **settings})))


@pytest.mark.parametrize(
    "stop", [(), ("\nclass", "\ndef "), ("f g", "urn", "ret"), ("\nassert", "e"), ("<|other|>", "16\n"), ("ï", "\n")]
)
def test_greedy_is_what_transformers_writes(engine: VllmModel, reference: LocalModel, stop: tuple[str, ...]) -> None:
    asked = prompts([*DREAMS, *SUNG, *ODD])
    for tokens in (1, 3, 70):
        expected = run(reference, asked, stop=stop, max_new_tokens=tokens, batch_size=1)
        assert run(engine, asked, stop=stop, max_new_tokens=tokens) == expected
        assert run(engine, asked, stop=stop, max_new_tokens=tokens, batch_size=3) == expected


def test_prompt_and_answer_have_max_length_together(engine: VllmModel, reference: LocalModel) -> None:
    asked = prompts(["x" * size for size in (60, 3, 50, 59, 61, CONTEXT + 9)] + SUNG)
    expected = run(reference, asked, max_length=60, stop=("\nclass", "\ndef "), batch_size=1)
    assert [one.completion_tokens for one in expected[:6]] == [0, 24, 10, 1, 0, 0]
    for size in (1, 3, 99):
        assert run(engine, asked, max_length=60, stop=("\nclass", "\ndef "), batch_size=size) == expected
    assert run(engine, asked[:1], max_length=60) == expected[:1], "nothing has room"
    assert engine._engine.get_num_unfinished_requests() == 0


def test_what_it_is_compared_on_ends_in_every_way(engine: VllmModel) -> None:
    stop, end, loop, late, mark, one = run(engine, prompts(SUNG), stop=("\nclass", "\ndef "), max_new_tokens=70)
    assert (stop.text, stop.stop_reason, stop.completion_tokens) == ("    return 1", StopReason.STOP, 3)
    assert (end.text, end.stop_reason, end.completion_tokens) == ("    pass\n\n", StopReason.STOP, 3)
    assert (loop.stop_reason, loop.completion_tokens) == (StopReason.LENGTH, 70)
    assert late.text.startswith("line 0\nline 1\n")
    assert mark.text == "good bad", "special tokens are no text"
    assert (one.text, one.completion_tokens) == ("short", 1)
    dreamt = run(engine, prompts(DREAMS))
    assert len({completion.text for completion in dreamt}) == len(DREAMS)


def test_the_seed_and_nothing_else_decides_a_sample(engine: VllmModel) -> None:
    same = [Prompt(task_id="T/0", sample_index=i, text=DREAMS[2], seed=(1 << 62) + i % 3) for i in range(9)]
    settings = {"temperature": 1.0, "top_p": 0.95}
    texts = [one.text for one in run(engine, same, **settings)]
    assert texts[:3] * 3 == texts
    assert len(set(texts)) == 3
    mixed = prompts(DREAMS)
    drawn = run(engine, mixed, **settings)
    assert run(engine, mixed[::-1], batch_size=2, **settings) == drawn[::-1]
    assert run(engine, mixed[2:3], **settings) == drawn[2:3], "resuming leaves the other prompts out"


def test_seeds_go_with_more_prompts_than_the_engine_reads_at_once(engine: VllmModel) -> None:
    at_once = engine._engine.vllm_config.scheduler_config.max_num_batched_tokens
    texts = [f"{place:03}".translate(str.maketrans("0123456789", "qwertyuiop")) + "x" * 80 for place in range(200)]
    assert sum(map(len, texts)) > at_once
    assert len(run(engine, prompts(texts), temperature=1.0, max_new_tokens=2)) == len(texts)


def test_temperature_and_top_p_are_obeyed(engine: VllmModel) -> None:
    greedy = run(engine, prompts(DREAMS))
    assert run(engine, prompts(DREAMS), temperature=2.0, top_p=1e-6) == greedy
    assert run(engine, prompts(DREAMS), temperature=2.0) != greedy


def test_a_deadline_cuts_what_has_not_ended(engine: VllmModel) -> None:
    asked = prompts(["loop:", "end:", *DREAMS] * 40)
    whole = run(engine, asked, max_new_tokens=60)
    assert {one.stop_reason for one in run(engine, asked, deadline=time.monotonic())} == {StopReason.TIME}
    cut = run(engine, asked, max_new_tokens=60, batch_size=16, deadline=time.monotonic() + 0.3)
    assert StopReason.TIME in {one.stop_reason for one in cut}
    for short, long in zip(cut, whole, strict=True):
        begun = short.text.removesuffix("\ufffd")  # the end may have come within a character of several tokens
        assert short == long or (short.stop_reason is StopReason.TIME and long.text.startswith(begun))
    assert run(engine, asked, max_new_tokens=60, deadline=time.monotonic() + 600) == whole


def test_an_engine_that_fails_loses_nothing_that_was_written(
    engine: VllmModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first text is not over; those behind it that are, come all the same, each in its place."""
    asked = prompts(DREAMS)
    first, *others = (one.text for one in run(engine, asked))
    stop = next(sign for text in others for sign in text[:6] if sign not in first)  # at which some are over soon
    whole = run(engine, asked, stop=(stop,))
    step, steps = engine._engine.step, iter(range(99))

    def fails() -> Any:
        if next(steps) == 16:
            raise RuntimeError("the engine is gone\nfor good")
        return step()

    monkeypatch.setattr(engine._engine, "step", fails)
    written: list[Completion] = []
    settings = GenerationSettings(max_new_tokens=24, stop=(stop,))
    with pytest.raises(ModelUnavailable, match=r"vLLM failed while generating .*: the engine is gone$"):
        written.extend(engine.generate(asked, settings))
    answered = [place for place, one in enumerate(written) if one.stop_reason is not StopReason.TIME]
    assert answered
    assert 0 not in answered
    assert [written[place] for place in answered] == [whole[place] for place in answered]
    monkeypatch.undo()
    assert run(engine, asked, stop=(stop,)) == whole


def test_what_is_given_up_leaves_the_engine_free(engine: VllmModel) -> None:
    left = engine.generate(prompts(["loop:"] * 20), GenerationSettings(max_new_tokens=60))
    first = next(iter(left))
    other = engine.generate(prompts(DREAMS), GenerationSettings(max_new_tokens=24))
    assert list(other) == run(engine, prompts(DREAMS)), "two may be under way at once"
    del left
    assert engine._engine.get_num_unfinished_requests() == 0
    assert run(engine, prompts(["loop:"]), max_new_tokens=60) == [first]


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        ("x" * CONTEXT, {}, rf"T/0: the prompt has {CONTEXT} tokens, and the context of .* holds {CONTEXT}"),
        ("x\ud800", {}, "not valid Unicode"),
        ("x", {"temperature": 0.001}, r"at a temperature of 0.01 or more, not at 0.001"),
        ("x", {"temperature": 3.0}, "vLLM cannot sample like this: temperature"),
        ("x", {"top_p": 0.0}, "needs a top_p above 0"),
    ],
)
def test_what_cannot_be_asked_is_refused(engine: VllmModel, text: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        run(engine, prompts([text]), **settings)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_model_len": 10 * CONTEXT}, f"does not run .*{CONTEXT}"),
        ({"tensor_parallel_size": 3}, "does not run .*3"),
        ({"quantization": "magic"}, "does not run .*magic"),
        ({"dtype": "float8"}, "no dtype 'float8'"),
    ],
)
def test_options_that_vllm_refuses_are_said_in_one_line(folder: Path, options: dict[str, Any], message: str) -> None:
    from harness.models.vllm_engine import VllmModel

    with pytest.raises(UsageError, match=message) as raised:
        VllmModel.load(str(folder), ModelOptions(backend="vllm", **options))
    assert "\n" not in str(raised.value)


def test_it_says_how_it_runs(engine: VllmModel, reference: LocalModel) -> None:
    import vllm

    assert (engine.name, engine.digest) == (reference.name, reference.digest)
    told = engine.runtime
    assert (told["dtype"], told["device"], told["max_model_len"]) == ("float32", "cpu", str(CONTEXT))
    assert (told["tensor_parallel_size"], told["enforce_eager"]) == ("1", "true")
    assert told["parameters"] == str(reference.runtime.parameters)
    assert "not promised" in told["reproducible"]
    assert engine.versions()["vllm"] == vllm.__version__
    assert engine.at_once == engine._engine.vllm_config.scheduler_config.max_num_seqs == 256
