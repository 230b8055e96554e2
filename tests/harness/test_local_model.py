"""`LocalModel` on tiny checkpoints: what it writes, when it stops, what it counts and how it refuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import torch
from made_checkpoints import CONTEXT, TEXTS, make_dreamer, make_parrot
from tokenizers import Tokenizer, decoders, models
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from harness.errors import HarnessError, MissingDependency, ModelUnavailable, UsageError
from harness.models import checkpoint
from harness.models.decoding import Chooser, decode
from harness.models.local import LocalModel
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.records import StopReason

pytestmark = pytest.mark.hf


@pytest.fixture(scope="session")
def dreamer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dreamer")
    make_dreamer(folder)
    return folder


@pytest.fixture(scope="session")
def parrot_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("parrot")
    make_parrot(folder)
    return folder


@pytest.fixture(scope="session")
def dreamer(dreamer_folder: Path) -> LocalModel:
    return LocalModel.load(str(dreamer_folder), device="cpu")


@pytest.fixture(scope="session")
def parrot(parrot_folder: Path) -> LocalModel:
    return LocalModel.load(str(parrot_folder), device="cpu")


def _prompts(*texts: str, seed: int = 0) -> list[Prompt]:
    return [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=seed + i) for i, text in enumerate(texts)]


def _run(model: LocalModel, prompts: Sequence[Prompt], **settings: Any) -> list[Completion]:
    return list(model.generate(prompts, GenerationSettings(**{"max_new_tokens": 24, **settings})))


def _one(model: LocalModel, text: str, **settings: Any) -> Completion:
    return _run(model, _prompts(text), **settings)[0]


MIXED = _prompts(*(text[: 3 + 4 * i % len(text)] for i in range(5) for text in TEXTS))


# --- what it writes


def test_greedy_is_what_a_bare_loop_of_the_model_gives(dreamer: LocalModel, dreamer_folder: Path) -> None:
    bare = LlamaForCausalLM.from_pretrained(dreamer_folder).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(dreamer_folder)
    expected = []
    for prompt in MIXED:
        tokens = tokenizer(prompt.text)["input_ids"]
        start = len(tokens)
        while len(tokens) < start + 24 and (len(tokens) == start or tokens[-1] != 0):
            with torch.no_grad():
                tokens.append(int(bare(torch.tensor([tokens])).logits[0, -1].argmax()))
        expected.append((tokenizer.decode([token for token in tokens[start:] if token]), start, len(tokens) - start))
    got = _run(dreamer, MIXED, batch_size=4)
    assert [(one.text, one.prompt_tokens, one.completion_tokens) for one in got] == expected
    assert len({one.text for one in got}) > 10, "the texts are too alike to show anything"


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_batches_change_nothing(dreamer: LocalModel, temperature: float) -> None:
    settings = {"temperature": temperature, "top_p": 0.95, "stop": ("\n",)}
    alone = _run(dreamer, MIXED, batch_size=1, **settings)
    assert _run(dreamer, MIXED, batch_size=4, **settings) == alone
    assert _run(dreamer, MIXED, batch_size=64, **settings) == alone
    assert _run(dreamer, MIXED[::-1], batch_size=4, **settings) == alone[::-1]
    assert _run(dreamer, MIXED[6:7], batch_size=4, **settings) == alone[6:7], "resuming leaves the other prompts out"


def test_the_seed_and_nothing_else_decides_a_sample(dreamer: LocalModel) -> None:
    same = [Prompt(task_id="T/0", sample_index=i, text=TEXTS[0], seed=i % 3) for i in range(9)]
    texts = [one.text for one in _run(dreamer, same, temperature=1.0, batch_size=4)]
    assert texts[:3] * 3 == texts
    assert len(set(texts)) == 3


def test_draws_follow_the_distribution() -> None:
    scores = torch.tensor([[2.0, 1.0, float("-inf"), 0.0, -1.0]])
    chooser = Chooser([11], temperature=0.5, top_p=1.0)
    drawn = Counter(int(chooser(None, scores).argmax()) for _ in range(4000))
    expected = (scores[0].double() / 0.5).softmax(-1)
    assert drawn[2] == 0
    for token, weight in enumerate(expected.tolist()):
        assert abs(drawn[token] / 4000 - weight) < 0.03


@pytest.mark.parametrize(("top_p", "kept"), [(0.5, {0}), (0.7, {0, 1}), (0.95, {0, 1, 3}), (1.0, {0, 1, 3, 4})])
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p: float, kept: set[int]) -> None:
    scores = torch.tensor([[0.6, 0.25, 0.0, 0.1, 0.05]]).log()
    chooser = Chooser([5], temperature=1.0, top_p=top_p)
    assert {int(chooser(None, scores).argmax()) for _ in range(1500)} == kept


def test_a_checkpoints_own_sampling_settings_do_not_leak(
    dreamer: LocalModel, dreamer_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(dreamer_folder, tmp_path, dirs_exist_ok=True)
    hostile: dict[str, Any] = {
        "do_sample": True,
        "temperature": 0.1,
        "top_k": 1,
        "top_p": 0.1,
        "repetition_penalty": 9.0,
    }
    hostile |= {"max_length": 3, "min_new_tokens": 20, "no_repeat_ngram_size": 1, "suppress_tokens": [5, 6, 7]}
    hostile |= {"num_beams": 3, "stop_strings": ["a"], "forced_eos_token_id": 9, "max_time": 0.001}
    (tmp_path / "generation_config.json").write_text(json.dumps(hostile))
    model = LocalModel.load(str(tmp_path), device="cpu")
    capfd.readouterr()
    for settings in ({"temperature": 0.0}, {"temperature": 0.9, "top_p": 0.9}):
        assert _run(model, MIXED, **settings) == _run(dreamer, MIXED, **settings)
    assert capfd.readouterr() == ("", ""), "generating warns about nothing"


def test_an_end_token_of_the_generation_settings_counts(parrot_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(parrot_folder, tmp_path, dirs_exist_ok=True)
    token = PreTrainedTokenizerFast.from_pretrained(parrot_folder).convert_tokens_to_ids("about ")
    GenerationConfig(eos_token_id=[0, token]).save_pretrained(tmp_path)
    got = _one(LocalModel.load(str(tmp_path), device="cpu"), "loop:")
    assert (got.text, got.stop_reason, got.completion_tokens) == ("round and ", StopReason.STOP, 3)


def test_a_prompt_without_tokens_is_continued_all_the_same(dreamer: LocalModel) -> None:
    empty = _one(dreamer, "")
    assert (empty.prompt_tokens, empty.completion_tokens) == (1, 24)
    assert _run(dreamer, _prompts(TEXTS[0], "", TEXTS[1]))[1] == empty


def test_llamas_first_blank_is_kept() -> None:
    raw = Tokenizer(
        models.WordLevel({"<unk>": 0, "▁def▁f():": 1, "<0x0A>": 2, "▁▁▁": 3, "▁return": 4}, unk_token="<unk>")
    )
    raw.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw)
    assert tokenizer.decode([3, 4]) == "   return", "this is the trap"
    assert decode(tokenizer, [1, 2], [3, 4]) == "    return"
    assert decode(tokenizer, [], [3, 4]) == "   return"


# --- where it stops


def test_a_stop_string_may_span_tokens(parrot: LocalModel) -> None:
    for batch in (["stop:"], ["loop:", "stop:", "end:", "late:"]):
        got = _run(parrot, _prompts(*batch), stop=("\nclass", "\ndef "))[batch.index("stop:")]
        assert got == Completion(
            text="    return 1", stop_reason=StopReason.STOP, prompt_tokens=1, completion_tokens=3
        ), "three tokens: the third one completed the stop string"


def test_the_earliest_of_several_stop_strings_cuts(parrot: LocalModel) -> None:
    assert _one(parrot, "stop:", stop=("f g", "urn", "ret")).text == "    "
    assert _one(parrot, "stop:", stop=("f g", "1\nd")).text == "    return "


def test_a_stop_string_inside_one_token_cuts_inside(parrot: LocalModel) -> None:
    got = _one(parrot, "one:", stop=("\ndef ",))
    assert (got.text, got.stop_reason, got.completion_tokens) == ("short", StopReason.STOP, 1)


def test_a_stop_string_found_late_is_cut_and_counted_as_if_at_once(parrot: LocalModel) -> None:
    got = _run(parrot, _prompts("late:", "loop:"), stop=("\nassert",), max_new_tokens=60)
    assert got[0].text == "".join(f"line {i}\n" for i in range(30))
    assert (got[0].stop_reason, got[0].completion_tokens) == (StopReason.STOP, 31)
    assert (got[1].stop_reason, got[1].completion_tokens) == (StopReason.LENGTH, 60)


def test_a_stop_string_ends_the_batch_soon(parrot: LocalModel) -> None:
    steps: list[int] = []
    hook = parrot._model.register_forward_hook(lambda *_: steps.append(1))
    try:
        got = _run(parrot, _prompts("late:", "stop:"), stop=("16\n", "ef g"), max_new_tokens=60)
    finally:
        hook.remove()
    assert [one.completion_tokens for one in got] == [17, 4]
    assert len(steps) == 20, "the first look after the seventeenth token"


def test_the_end_token_ends_a_row_while_others_go_on(parrot: LocalModel) -> None:
    end, loop = _run(parrot, _prompts("end:", "loop:"), max_new_tokens=7)
    assert end == Completion(text="    pass\n\n", stop_reason=StopReason.STOP, prompt_tokens=1, completion_tokens=3), (
        "the end token is counted, the padding behind it is not"
    )
    assert loop.text == "round and about round and about round "
    assert (loop.stop_reason, loop.completion_tokens) == (StopReason.LENGTH, 7)


def test_an_end_token_as_the_last_one_allowed_is_a_stop(parrot: LocalModel) -> None:
    assert _one(parrot, "end:", max_new_tokens=3).stop_reason is StopReason.STOP
    short = _one(parrot, "end:", max_new_tokens=2)
    assert (short.text, short.stop_reason, short.completion_tokens) == ("    pass\n\n", StopReason.LENGTH, 2)


def test_special_tokens_can_stop_but_are_no_text(parrot: LocalModel) -> None:
    assert _one(parrot, "mark:").text == "good bad"
    got = _one(parrot, "mark:", stop=("<|other|>",))
    assert (got.text, got.stop_reason, got.completion_tokens) == ("good", StopReason.STOP, 2)


def test_a_deadline_cuts_what_has_not_ended(parrot: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000))  # a look at the time is a second: one before the batch, one behind each token
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    end, loop = _run(parrot, _prompts("end:", "loop:"), max_new_tokens=7, deadline=5)
    assert (end.stop_reason, end.completion_tokens) == (StopReason.STOP, 3)
    assert (loop.stop_reason, loop.completion_tokens, loop.text) == (StopReason.TIME, 5, "round and about round and ")
    assert {one.stop_reason for one in _run(parrot, _prompts("end:", "loop:"), deadline=0)} == {StopReason.TIME}
    # What ran to the token limit has ended by that.
    assert _one(parrot, "loop:", max_new_tokens=3, deadline=1_000).stop_reason is StopReason.LENGTH


def test_a_deadline_changes_nothing_before_it(dreamer: LocalModel) -> None:
    assert _run(dreamer, MIXED, deadline=time.monotonic() + 600) == _run(dreamer, MIXED)


def test_stop_strings_of_the_prompt_do_not_count(parrot: LocalModel) -> None:
    assert _one(parrot, "x\ndef loop:", stop=("\ndef ", "loop"), max_new_tokens=3).text == "round and about "


# --- the context


def test_what_does_not_fit_is_shortened_and_stays_right(dreamer: LocalModel) -> None:
    nearly_full = "x" * (CONTEXT - 5)
    mixed = _prompts(nearly_full, "def f", nearly_full + "xx", "x" * (CONTEXT - 24))
    got = _run(dreamer, mixed, batch_size=4)
    assert [one.prompt_tokens for one in got] == [CONTEXT - 5, 2, CONTEXT - 3, CONTEXT - 24]
    for one, limit in zip(got, (5, 24, 3, 24), strict=True):
        assert one.completion_tokens == limit or one.stop_reason is StopReason.STOP
    assert got == _run(dreamer, mixed, batch_size=1)


def test_a_prompt_that_fills_the_context_is_refused_by_name_before_any_work(dreamer: LocalModel) -> None:
    prompts = _prompts("def f", "x" * CONTEXT)
    with pytest.raises(
        UsageError, match=rf"T/1: the prompt has {CONTEXT} tokens, and the context of .* holds {CONTEXT}"
    ):
        next(dreamer.generate(prompts, GenerationSettings(batch_size=1)))


def test_prompt_and_answer_have_max_length_together(dreamer: LocalModel) -> None:
    lengths = (3, 40, 47, 55, 59, 60, 61, CONTEXT + 5)
    prompts = _prompts(*("x" * length for length in lengths))
    batches: list[int] = []
    hook = dreamer._model.register_forward_pre_hook(
        lambda _, args, named: batches.append(len(named["input_ids"])) if named["input_ids"].shape[1] > 1 else None,
        with_kwargs=True,
    )
    try:
        got = _run(dreamer, prompts, max_length=60, batch_size=8)
    finally:
        hook.remove()
    assert batches == [5], "rows with other limits share a batch, and those without room are in none"
    assert [one.prompt_tokens for one in got] == list(lengths)
    for one, room in zip(got, (24, 20, 13, 5, 1, 0, 0, 0), strict=True):
        assert one.completion_tokens == room or (one.stop_reason is StopReason.STOP and room)
        assert one.stop_reason is StopReason.LENGTH or room
    assert got[5:] == [
        Completion(text="", stop_reason=StopReason.LENGTH, prompt_tokens=length, completion_tokens=0)
        for length in lengths[5:]
    ]
    assert got == _run(dreamer, prompts, max_length=60, batch_size=1)
    assert got == _run(dreamer, prompts[::-1], max_length=60, batch_size=3)[::-1]
    assert _run(dreamer, prompts[5:], max_length=60) == got[5:], "nothing has room"


# --- identity


def test_the_digest_is_of_the_content(dreamer: LocalModel, dreamer_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(dreamer_folder, copy)
    left = ("optimizer.pt", "training_args.bin", "trainer_state.json", "distill.json", "training.json")
    for name in ("README.md", "pytorch_model.bin", *left):
        (copy / name).write_text("not read for generating")
    assert checkpoint.digest_of(copy) == dreamer.digest
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert checkpoint.digest_of(copy) != dreamer.digest


def test_it_says_how_it_runs(dreamer: LocalModel, dreamer_folder: Path) -> None:
    assert dreamer.name == str(dreamer_folder)
    assert (dreamer.runtime.dtype, dreamer.runtime.device) == ("float32", "cpu")
    assert (dreamer.runtime.context_tokens, dreamer.runtime.commit) == (CONTEXT, None)
    assert dreamer.versions()["torch"] == torch.__version__
    half = LocalModel.load(str(dreamer_folder), dtype="bfloat16", device="cpu")
    assert half.runtime.dtype == "bfloat16"
    assert len(_run(half, MIXED[:2], temperature=1.0)) == 2


def test_an_id_is_found_in_the_local_cache(
    dreamer: LocalModel, dreamer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--some--dreamer"
    shutil.copytree(dreamer_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "v1").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = LocalModel.load("some/dreamer@v1", device="cpu")
    assert (model.digest, model.runtime.commit) == (dreamer.digest, commit)
    with pytest.raises(ModelUnavailable, match="some/dreamer is no folder here and could not be fetched"):
        LocalModel.load("some/dreamer")


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "ran out of memory on cpu with 2 prompts at once",
        ),
        (RuntimeError("CUDA error: an illegal memory access\nmore"), "failed while generating: CUDA error"),
    ],
)
def test_a_device_that_fails_loses_nothing_that_was_written(
    dreamer: LocalModel, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    """Two of the four batches of a window are done: their texts come first, each in its place."""
    whole = _run(dreamer, MIXED[:8], batch_size=2)
    generate, calls = dreamer._model.generate, iter(range(9))

    def fails(**arguments: Any) -> Any:
        if next(calls) == 2:
            raise failure
        return generate(**arguments)

    monkeypatch.setattr(dreamer._model, "generate", fails)
    written: list[Completion] = []
    with pytest.raises(ModelUnavailable, match=said):
        written.extend(dreamer.generate(MIXED[:8], GenerationSettings(max_new_tokens=24, batch_size=2)))
    answered = [place for place, one in enumerate(written) if one.stop_reason is not StopReason.TIME]
    assert len(answered) == 4
    assert [written[place] for place in answered] == [whole[place] for place in answered]


# --- refusals: one line, with the fix


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def _with_config(**changes: object) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return edit


def _adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


BROKEN: dict[str, tuple[Callable[[Path], object], type[HarnessError], str]] = {
    "no config": (_without("config.json"), UsageError, "has no config.json: `model.save_pretrained`"),
    "an adapter": (_adapter, UsageError, "PEFT adapter .* merge it"),
    "no weights": (_without("model.safetensors"), UsageError, "no weights"),
    "no tokenizer": (_without("tokenizer.json"), UsageError, "has no tokenizer: .*`tokenizer.save_pretrained`"),
    "config cut": (lambda f: (f / "config.json").write_text("{"), ModelUnavailable, "cannot be loaded"),
    "config a list": (lambda f: (f / "config.json").write_text("[]"), ModelUnavailable, "cannot be loaded"),
    "config odd": (_with_config(hidden_size="many"), ModelUnavailable, "cannot be loaded"),
    "tokenizer cut": (lambda f: (f / "tokenizer.json").write_text("{"), ModelUnavailable, "cannot be loaded|needs a"),
    "weights cut": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 99), ModelUnavailable, "cannot be loaded"),
    "weights lack a layer": (_with_config(num_hidden_layers=3), ModelUnavailable, "not whole: 9 of the tensors"),
    "weights of another size": (_with_config(intermediate_size=65), ModelUnavailable, "not whole: 6 of the tensors"),
    "unknown kind": (_with_config(model_type="new"), ModelUnavailable, "model type `new`"),
    "code of its own": (
        _with_config(model_type="new", auto_map={"AutoConfig": "a.B", "AutoModelForCausalLM": "a.C"}),
        UsageError,
        "--trust-remote-code",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_line(
    case: str, dreamer_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit, error, message = BROKEN[case]
    folder = tmp_path / "broken"
    shutil.copytree(dreamer_folder, folder)
    edit(folder)
    with pytest.raises(error, match=message) as caught:
        LocalModel.load(str(folder), device="cpu")
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("nowhere", {}, UsageError, "no folder on this machine, an id reads org/name or org/name@revision"),
        ("/no/such/folder", {}, UsageError, "no folder on this machine"),
        ("org/name@", {}, UsageError, "org/name@revision"),
        ("a" * 5000, {}, UsageError, "no folder"),
        ("nul\0", {}, UsageError, "no folder"),
        ("org/name@one", {"revision": "two"}, UsageError, "disagree"),
        ("no-such-org-0/x", {}, ModelUnavailable, "could not be fetched from the hub .* path of a checkpoint folder"),
        (".", {"revision": "main"}, UsageError, "has no revision"),
    ],
)
def test_an_unknown_name_is_refused_with_the_fix(
    name: str, options: dict[str, str], error: type[HarnessError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(error, match=message):
        LocalModel.load(name, **options)  # type: ignore[arg-type]


def test_unknown_options_are_refused(dreamer_folder: Path) -> None:
    for options, message in (
        ({"dtype": "int3"}, "no dtype 'int3': use one of auto, float32"),
        ({"device": "gpu"}, "no device 'gpu': use auto, cpu, cuda"),
        ({"device": "meta"}, "no device 'meta'"),
        ({"device": "cuda:77"}, "no device 'cuda:77': torch sees"),
    ):
        with pytest.raises(UsageError, match=message):
            LocalModel.load(str(dreamer_folder), **options)  # type: ignore[arg-type]


SENSELESS: tuple[dict[str, Any], ...] = (
    {"temperature": -1},
    {"temperature": float("nan")},
    {"top_p": 0},
    {"top_p": 2},
    {"max_new_tokens": 0},
    {"max_length": 0},
    {"batch_size": 0},
    {"stop": ("",)},
)


@pytest.mark.parametrize("settings", SENSELESS)
def test_settings_without_sense_are_refused(dreamer: LocalModel, settings: dict[str, Any]) -> None:
    ((name, value),) = settings.items()
    with pytest.raises(UsageError, match=rf"generating needs a? ?{name.split('_')[0]}.*, not {re.escape(str(value))}$"):
        _run(dreamer, MIXED, **settings)


def test_a_prompt_that_is_no_unicode_is_refused_by_name(dreamer: LocalModel) -> None:
    with pytest.raises(UsageError, match="T/0: the prompt is not valid Unicode"):
        _one(dreamer, "\ud800")


def test_a_model_that_computes_nothing_is_unavailable_and_not_wrong(dreamer_folder: Path) -> None:
    model = LocalModel.load(str(dreamer_folder), device="cpu")
    with torch.no_grad():
        model._model.lm_head.weight[0, 0] = float("nan")
    for temperature in (0.0, 1.0):
        with pytest.raises(ModelUnavailable, match=r"NaN: .*--dtype"):
            _one(model, "def f", temperature=temperature)


def test_a_missing_package_comes_with_its_command() -> None:
    with pytest.raises(MissingDependency, match=r"pip install 'code-harness\[hf\]'"):
        checkpoint.required("no_such_package_anywhere")
