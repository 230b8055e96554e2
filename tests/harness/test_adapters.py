"""Adapters and devices of the backend hf: what is added to a checkpoint, where it is put, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "peft"):
        pytest.importorskip(package)

import torch
from made_checkpoints import TEXTS, make_dreamer
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaForCausalLM

from harness.errors import HarnessError, ModelUnavailable, UsageError
from harness.models.local import LocalModel
from harness.models.seam import Completion, GenerationSettings, Prompt

pytestmark = [pytest.mark.hf, pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")]

PROMPTS = [Prompt(task_id=f"T/{i}", sample_index=0, text=text, seed=i) for i, text in enumerate(TEXTS)]


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    make_dreamer(folder)
    return folder


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an adapter of the base model that changes what it writes."""
    folder = tmp_path_factory.mktemp("adapter")
    torch.manual_seed(5)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(LlamaForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def written(model: LocalModel) -> list[Completion]:
    return list(model.generate(PROMPTS, GenerationSettings(max_new_tokens=24)))


def test_an_adapter_writes_what_its_merged_model_does(base: Path, adapter: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoTokenizer

    merged = PeftModel.from_pretrained(LlamaForCausalLM.from_pretrained(base), adapter).merge_and_unload()
    merged.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(base).save_pretrained(tmp_path)
    adapted = LocalModel.load(str(base), device="cpu", peft_model=str(adapter))
    plain = LocalModel.load(str(base), device="cpu")
    assert written(adapted) == written(LocalModel.load(str(tmp_path), device="cpu"))
    assert written(adapted) != written(plain)
    assert adapted.name == f"{base}+{adapter}"
    assert adapted.digest != plain.digest


def test_the_digest_is_of_both(base: Path, adapter: Path, tmp_path: Path) -> None:
    from shutil import copytree

    from safetensors.torch import load_file, save_file

    first = LocalModel.load(str(base), device="cpu", peft_model=str(adapter))
    other = copytree(adapter, tmp_path / "other")
    (other / "README.md").write_text("not read")
    assert LocalModel.load(str(base), device="cpu", peft_model=str(other)).digest == first.digest
    tensors = load_file(other / "adapter_model.safetensors")
    save_file({name: tensor * 2 for name, tensor in tensors.items()}, other / "adapter_model.safetensors")
    assert LocalModel.load(str(base), device="cpu", peft_model=str(other)).digest != first.digest


def _edit(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


BROKEN: dict[str, tuple[Callable[[Path], Any], type[HarnessError], str]] = {
    "no config": (lambda f: (f / "adapter_config.json").unlink(), UsageError, "has no adapter_config.json"),
    "no weights": (lambda f: (f / "adapter_model.safetensors").unlink(), UsageError, "has no adapter_model"),
    "other layers": (_edit(target_modules=["attention"]), UsageError, "not one of this model"),
    "other shapes": (_edit(r=8), UsageError, "not one of this model"),
    "half of it": (_edit(target_modules=["q_proj", "v_proj", "o_proj"]), ModelUnavailable, "is not whole"),
    "no adapter known": (_edit(peft_type="MAGIC"), ModelUnavailable, "cannot be loaded"),
    "weights cut": (
        lambda f: (f / "adapter_model.safetensors").write_bytes(b"x" * 99),
        HarnessError,
        "cannot be loaded",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_adapter_is_refused_in_one_line(base: Path, adapter: Path, tmp_path: Path, case: str) -> None:
    from shutil import copytree

    breaks, kind, message = BROKEN[case]
    folder = copytree(adapter, tmp_path / "broken")
    breaks(folder)
    with pytest.raises(kind, match=message) as raised:
        LocalModel.load(str(base), device="cpu", peft_model=str(folder))
    assert "\n" not in str(raised.value)


def test_an_adapter_of_the_prompt_is_refused(base: Path, tmp_path: Path) -> None:
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    get_peft_model(LlamaForCausalLM.from_pretrained(base), config).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="adapter of the prompt"):
        LocalModel.load(str(base), device="cpu", peft_model=str(tmp_path))


def test_an_adapter_as_the_model_is_refused_with_the_option_for_it(adapter: Path) -> None:
    with pytest.raises(UsageError, match="--peft-model"):
        LocalModel.load(str(adapter))


def test_a_model_that_is_shared_out_writes_the_same(base: Path) -> None:
    spread = LocalModel.load(str(base), device="balanced")
    assert spread.runtime.device
    if not torch.cuda.is_available():
        assert spread.runtime.device == "cpu"
        assert written(spread) == written(LocalModel.load(str(base), device="cpu"))


def test_quantization_is_refused_where_it_cannot_be(base: Path) -> None:
    with pytest.raises(UsageError, match="8bit runs on a GPU"):
        LocalModel.load(str(base), device="cpu", quantization="8bit")
    with pytest.raises(UsageError, match="no quantization 'fp8' by transformers: use 8bit or 4bit"):
        LocalModel.load(str(base), device="cpu", quantization="fp8")
