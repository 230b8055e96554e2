"""The same model is asked the same bytes and the same tokens, whatever runs it; and what it is asked is recorded."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("openai", "torch", "transformers"):
        pytest.importorskip(package)

from made_checkpoints import make_chatter
from made_tokenizers import SHAPES
from model_server import MODEL, Server, said, serving

from harness.benchmarks import load_benchmark
from harness.errors import UsageError
from harness.evaluation import EvalConfig, generate
from harness.model_options import ModelOptions
from harness.models.local import LocalModel
from harness.prompts import AskedPrompt, whole_groups
from harness.records import from_json
from harness.sources import Decoding, OpenModels, Source, open_source
from harness.store import PROMPTS, read_config
from harness.stored import stored_source

pytestmark = pytest.mark.hf

TEXTS, CHATS = ("default", "bigcode"), ("evalplus-chat", "evalplus-chat-api", "lm-eval-instruct")


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(answer=lambda request: said("    pass\n"))) as state:
        yield state


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the same checkpoint with chat templates of several shapes, and with none."""
    root = tmp_path_factory.mktemp("chatters")
    for name, shape in {**SHAPES, "none": None}.items():
        make_chatter(root / name, shape)
    return {path.name: path for path in root.iterdir()}


@pytest.fixture
def tasks(tmp_path: Path) -> str:
    """Return a file of tasks whose prompts differ in length, blanks and signs."""
    path = tmp_path / "tasks.jsonl"
    prompts = (
        "def f0(x):\n",
        '\n\ndef f1(x):\n    """naïve ☃ 𝄞 <|im_end|>"""\n    \n',
        "def f2(x):" + " " * 40 + "# [INST]\n\n",
    )
    with path.open("w") as file:
        for number, prompt in enumerate(prompts):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            row = {"task_id": f"T/{number}", "prompt": prompt, "entry_point": f"f{number}", "test": test}
            file.write(json.dumps(row | {"canonical_solution": "    return x\n"}) + "\n")
    return str(path)


def opened(models: OpenModels, model: str, tasks: str, protocol: str) -> Source:
    benchmark = load_benchmark(tasks)
    wanted = Decoding(protocol=protocol, max_new_tokens=2, n_samples=1, temperature=0.0)
    return open_source(model, None, benchmark, benchmark.tasks, wanted, models, False)


def fed_to(model: LocalModel) -> list[list[int]]:
    """Return a list to which whatever the model is fed from now on is added, but for its own tokens."""
    fed: list[list[int]] = []

    def note(_: Any, arguments: Any, named: dict[str, Any]) -> None:
        ids, mask = named["input_ids"], named.get("attention_mask")
        if ids.shape[1] > 1:
            rows = ids if mask is None else [row[seen.bool()] for row, seen in zip(ids, mask, strict=True)]
            fed.extend(row.tolist() for row in rows)

    model._model.register_forward_pre_hook(note, with_kwargs=True)
    return fed


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SHAPES, "none"])
def test_transformers_and_a_server_are_asked_the_same_bytes_and_tokens(
    server: Server, folders: dict[str, Path], tasks: str, shape: str
) -> None:
    folder = str(folders[shape])
    here, there = OpenModels(ModelOptions()), OpenModels(_served(server, tokenizer=folder))
    local = here.get(folder)
    assert isinstance(local, LocalModel)
    fed = fed_to(local)
    for protocol in (*TEXTS, *CHATS):
        if shape == "none" and protocol in CHATS:
            continue
        if shape == "mistral" and protocol == "evalplus-chat-api":  # which has a system message
            for models, name in ((here, folder), (there, MODEL)):
                with pytest.raises(UsageError, match="Only user and assistant roles"):
                    opened(models, name, tasks, protocol)
            continue
        ours, theirs = opened(here, folder, tasks, protocol), opened(there, MODEL, tasks, protocol)
        assert ours.prompts == theirs.prompts
        assert (ours.tokenizer_digest, ours.template_digest) == (theirs.tokenizer_digest, theirs.template_digest)
        assert ours.tokenizer_digest
        assert bool(ours.template_digest) == (shape != "none")
        fed.clear()
        server.asked.clear()
        assert len(list(ours.samples(()))) == len(list(theirs.samples(()))) == 3
        assert sorted(fed) == sorted(server.prompts())
        assert sorted(map(_digest, server.prompts())) == sorted(one.tokens_digest for one in ours.prompts)
        assert sorted(one.tokens or 0 for one in ours.prompts) == sorted(map(len, server.prompts()))


def _served(server: Server, **more: Any) -> ModelOptions:
    return ModelOptions(backend="openai", base_url=server.base_url, request_seconds=30, **more)


def _digest(ids: Sequence[int]) -> str:
    return hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()


@pytest.mark.slow
def test_what_was_asked_is_in_the_run_folder(folders: dict[str, Path], tasks: str, tmp_path: Path) -> None:
    def run(out: str, **changes: Any) -> Path:
        asked = {"tasks": (tasks,), "model": str(folders["llama-3"]), "out": tmp_path / out}
        decoding = Decoding(protocol="evalplus-chat", max_new_tokens=2, batch_size=1)
        generate(EvalConfig(**{**asked, "decoding": decoding, **changes}))
        return tmp_path / out

    folder = run("run")
    lines = (folder / PROMPTS).read_bytes()
    first, *others = [from_json(AskedPrompt, line) for line in lines.splitlines()]
    assert [one.task_id for one in (first, *others)] == ["T/0", "T/1", "T/2"]
    assert first.text is not None
    assert first.text.startswith("<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nPlease provide a self-")
    assert first.text.endswith(
        "\n```\ndef f0(x):\n```<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "Below is a Python script with a self-contained function that solves the problem and passes "
        "corresponding tests:\n```python\n"
    )
    benchmark = load_benchmark(tasks)
    assert stored_source(folder, read_config(folder), benchmark, benchmark.tasks, False).prompts == (first, *others)
    config = read_config(folder)
    assert hashlib.sha256(lines).hexdigest() == config.prompts_digest
    assert (config.batch_size, config.options) == (1, ModelOptions())
    assert config.template_digest == hashlib.sha256(SHAPES["llama-3"].template.encode()).hexdigest()
    # Another template is another run, although the weights are the same.
    changed = tmp_path / "changed"
    shutil.copytree(folders["llama-3"], changed)
    template = changed / "chat_template.jinja"
    template.write_text(template.read_text() + "{# changed #}")
    moved = read_config(run("other", model=str(changed)))
    assert (moved.tokenizer_digest, moved.prompts_digest) == (config.tokenizer_digest, config.prompts_digest)
    assert moved.template_digest != config.template_digest


@pytest.mark.slow
def test_a_server_that_reads_prompts_itself_is_recorded_as_such(server: Server, tasks: str, tmp_path: Path) -> None:
    decoding = Decoding(protocol="evalplus-chat-api")
    generate(EvalConfig(tasks=(tasks,), model=MODEL, out=tmp_path / "run", options=_served(server), decoding=decoding))
    first = from_json(AskedPrompt, (tmp_path / "run" / PROMPTS).read_bytes().splitlines()[0])
    assert [one.role for one in first.messages] == ["system", "user"]
    assert (first.text, first.tokens, first.tokens_digest) == (None, None, "")
    run = read_config(tmp_path / "run")
    assert (run.tokenizer_digest, run.template_digest) == ("", "")
    assert run.runtime["prompts"].startswith("read by the server")


def test_a_model_without_a_template_is_refused_before_its_weights_are_loaded(
    folders: dict[str, Path], tasks: str, tmp_path: Path
) -> None:
    shutil.copytree(folders["none"], tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"no weights")
    for backend in ("hf", "vllm"):
        with pytest.raises(UsageError, match="has no chat template"):
            opened(OpenModels(ModelOptions(backend=backend)), str(tmp_path / "m"), tasks, "evalplus-chat")


@pytest.mark.slow
def test_a_chat_model_that_is_asked_texts_by_default_is_mentioned_once(
    folders: dict[str, Path], tasks: str, caplog: pytest.LogCaptureFixture
) -> None:
    def warnings(shape: str, protocol: str) -> list[str]:
        caplog.clear()
        models = OpenModels(ModelOptions())
        for _ in range(2):
            opened(models, str(folders[shape]), tasks, protocol)
        return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]

    (said,) = warnings("chatml", "default")
    assert "has a chat template" in said
    assert "--protocol evalplus-chat " in said
    assert (
        warnings("chatml", "evalplus-base") == warnings("none", "default") == warnings("chatml", "evalplus-chat") == []
    )


def test_what_shares_batches_is_written_again_together() -> None:
    keys = [(f"T/{task}", index) for task in range(5) for index in range(2)]
    assert list(whole_groups(keys, (), 4)) == keys
    assert list(whole_groups(keys, keys[:5], 4)) == keys[4:]
    assert list(whole_groups(keys, keys[:4], 4)) == keys[4:]
    assert list(whole_groups(keys, keys[:9], 4)) == keys[8:]
    assert list(whole_groups(keys, [keys[0], *keys[4:]], 4)) == keys[:4]
    assert list(whole_groups(keys, keys, 4)) == []
    assert list(whole_groups(keys, keys[::2], 1)) == keys[1::2]
