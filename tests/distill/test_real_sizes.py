"""The recipes for models of real sizes, played with models of the same classes that are small and random."""

from __future__ import annotations

import gc
import json
import os
import weakref
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("peft")

from made_tokenizers import code_llama_tokenizer

from distill.config import load_recipe, shipped, with_changes
from distill.fitting import ADAPTER
from distill.lessons import FaultSource, read_lessons
from distill.loop import Journal, LoopConfig, Machine
from distill.pairs import Contrastive
from distill.round import Round
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save
from harness import Decoding, EvalConfig, NoProgress, evaluate, find_checkpoint, ladder_train, load_weights

pytestmark = pytest.mark.hf

FAMILIES = {"codellama-7b": "llama", "deepseek-coder-6.7b": "llama", "qwen2.5-coder-1.5b": "qwen2"}
CLASSES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM"}
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 2048,
}
RECIPES = [name + ending for name in FAMILIES for ending in ("", "-lora")]


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a random model for each recipe, saved as the published ones are: in bfloat16, with such a tokenizer."""
    texts = [task.reference for task in ladder_train(seed=5, count=40, tiers=("easy",))]
    over_bytes = make_tokenizer(TokenizerRecipe(vocabulary=600), texts)
    made = {}
    for name, family in FAMILIES.items():
        tokenizer = code_llama_tokenizer() if name == "codellama-7b" else over_bytes
        made[name] = tmp_path_factory.mktemp("students") / name
        save(build_model(ModelRecipe(family=family, fields=SMALL), tokenizer, 0), tokenizer, made[name], "bfloat16")
    return made


@pytest.fixture(scope="module")
def tasks(few_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return every fourth of those tasks."""
    path = tmp_path_factory.mktemp("tasks") / "fewer.jsonl"
    path.write_text("\n".join(few_tasks.read_text().splitlines()[::4]) + "\n")
    return path


@pytest.fixture(scope="module")
def measured(students: dict[str, Path], tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return runs of the students, on which every tier is weak, so that rounds need not begin with one."""
    folder = tmp_path_factory.mktemp("measured")
    decoding = Decoding(max_new_tokens=4, batch_size=32)
    for name, student in students.items():
        out = folder / name
        evaluate(EvalConfig(tasks=(str(tasks),), out=out, model=str(student), weak_below=0.8, decoding=decoding))
    return {name: folder / name for name in students}


def shrunken(name: str, student: Path, tasks: Path) -> LoopConfig:
    """Return a recipe with other models and smaller numbers, and nothing else changed.

    A random teacher is right about nothing, so an oracle answers, which writes no questions and makes no errors; and a
    random student comes to no end, so that right answers are changed in the place of its own.
    """
    return with_changes(
        load_recipe("loop", name, LoopConfig),
        [
            f"student={student}",
            f"tasks={tasks}",
            "teacher.model=canonical",
            "questions.created=null",
            "questions.count=8",
            "attempts.probes=2",
            "attempts.n_samples=2",
            "faults.sources=[mutation]",
            "faults.mutants=1",
            "max_new_tokens=4",
            "training.epochs=2",
            "training.batch_size=2",
            "training.gradient_accumulation_steps=2",
        ],
    )


def machine() -> Machine:
    return Machine(sandbox="auto", workers=2, progress=NoProgress, say=lambda text: None)


def test_each_recipe_is_here() -> None:
    others = {"demo", "iterkd", "logit-kd", "persd", "random-tier", "self-training", "sequence-kd", "sft"}
    ours = {name for name in shipped("loop") if not name.startswith("ekt")}  # those have tests of their own
    assert ours == others | set(RECIPES)


@pytest.mark.parametrize("name", FAMILIES)
def test_with_adapters_a_recipe_is_the_same_but_for_the_training(name: str) -> None:
    full, lora = (load_recipe("loop", name + ending, LoopConfig) for ending in ("", "-lora"))
    changes = ["training.learning_rate=0.0002", "training.dtype=bfloat16"]
    changes.append("training.lora={r: 64, alpha: 128, dropout: 0.05}")
    assert with_changes(full, changes) == lora
    assert full.training.examples_per_step == 128
    assert (full.training.epochs, full.training.max_length, full.rounds) == (3, 2048, 3)
    assert full.training.warmup_of(100) == 3
    dpo = name == "codellama-7b"
    assert full.pairs.contrastive is (Contrastive.DPO if dpo else Contrastive.MARGIN)


def test_what_a_stage_had_loaded_is_gone_when_it_is_done(tmp_path: Path) -> None:
    class Model:
        def __init__(self) -> None:
            self.itself = self

    loaded = []

    def work() -> dict[str, int]:
        loaded.append(weakref.ref(Model()))
        return {}

    gc.disable()
    try:
        Journal(tmp_path).once("evaluate", work)
        assert loaded[0]() is None
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_a_round_by_the_recipe(
    name: str, students: dict[str, Path], measured: dict[str, Path], tasks: Path, tmp_path: Path
) -> None:
    import torch

    model = name.removesuffix("-lora")
    wanted = shrunken(name, students[model], tasks)
    decision = Round(wanted, tmp_path, 1, wanted.student, machine()).play(measured[model])
    stages = {stage: done.counts for stage, done in Journal(tmp_path).done().items()}
    lessons = list(read_lessons(tmp_path / "lessons.jsonl"))
    assert stages["lessons"]["lessons"] == len(lessons) == 8
    assert {lesson.fault.source for lesson in lessons if lesson.fault} == {FaultSource.MUTATION}
    assert stages["train"]["steps"] == 4
    assert decision.changes

    checkpoint = tmp_path / "checkpoint"
    before, after = (
        load_weights(str(find_checkpoint(str(place)).folder), name, dtype="auto", device="cpu", trust=False).model
        for place in (students[model], checkpoint)
    )
    assert type(after).__name__ == CLASSES[FAMILIES[model]]
    config = json.loads((checkpoint / "config.json").read_text())
    assert (config["architectures"], config["dtype"]) == ([CLASSES[FAMILIES[model]]], "bfloat16")
    changed = {
        parameter_name
        for parameter_name, tensor in before.state_dict().items()
        if not torch.equal(tensor, after.state_dict()[parameter_name])
    }
    assert changed
    if wanted.training.lora is not None:
        assert all("_proj" in parameter_name for parameter_name in changed)
        adapter = json.loads((checkpoint / ADAPTER / "adapter_config.json").read_text())
        assert (adapter["peft_type"], adapter["r"], adapter["lora_alpha"]) == ("LORA", 64, 128)
