"""The encoder's trainings: what they write, that they go on after a kill, and that each exit learns to find code."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers", "datasketch", "quickjs"):
        pytest.importorskip(package)

import msgspec
import torch

from distill import training
from distill.code_data import Snippet
from distill.code_rows import pair_rows
from distill.code_sources import CodeSources
from distill.config import load_recipe, shipped
from distill.encoder import load_encoder
from distill.encoder_command import encoder
from distill.encoder_objectives import ContrastSettings, ExitSettings, MaskingSettings
from distill.encoder_scores import Asking, reciprocal_rank
from distill.encoder_settings import (
    BagSettings,
    EncoderStart,
    EncoderTokenizer,
    PretrainEncoder,
    TuneClasses,
    TuneRetrieval,
)
from distill.encoder_start import started
from distill.encoder_training import EncoderReport, learn_bags, pretrain_encoder, tune_classes, tune_retrieval
from distill.train_settings import LoraSettings, TrainSettings
from harness import UsageError
from tests.distill import made_encoders

pytestmark = pytest.mark.hf

VERBS = ("sort", "open", "close", "merge", "parse", "count", "rotate", "paint", "send", "drop")
NOUNS = ("files", "trees", "ships", "words", "lists", "clouds", "books", "doors")
SHAPE = {**made_encoders.SHAPE, "residual_dropout": 0.1}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder of forty packages, some of them to look at, each with functions on two things of its own."""
    folder = tmp_path_factory.mktemp("packages")
    chance = random.Random(0)
    for number in range(40):
        functions = []
        for noun in chance.sample(NOUNS, 2):
            verb = chance.choice(VERBS)
            calls = "".join(f"    {noun}.{chance.choice(VERBS)}_{number}({place})\n" for place in range(3))
            functions.append(
                f'def f{number}_{noun}({noun}):\n    """Do {verb} all the {noun}."""\n    {verb}({noun})\n{calls}'
            )
        (folder / f"package{number}.py").write_text("\n".join(functions), encoding="utf-8")
    return str(folder)


def settings(kind: Any, packages: str, steps: int = 4, **values: Any) -> Any:
    given = {
        "start": EncoderStart(tokenizer=EncoderTokenizer(vocabulary=400), fields=SHAPE),
        "training": TrainSettings(steps=steps, batch_size=8, learning_rate=5e-3, save_steps=2),
        "data": CodeSources(sources=(packages,), similarity=0.95, benchmarks=()),
    }
    return kind(**given | values)


def weights_of(folder: Path) -> torch.Tensor:
    model, _ = load_encoder(folder)
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.slow
def test_pretraining_then_retrieval_and_classes_start_from_one_another(packages: str, tmp_path: Path) -> None:
    report = pretrain_encoder(settings(PretrainEncoder, packages), tmp_path / "pre")
    assert [one.exit for one in report.exits] == [1, 2]
    assert {name for one in report.exits for name in one.measures} == {"tokens", "context"}
    assert (report.steps, report.rows > 40, report.tokens > 1000) == (4, True, True)
    assert sorted(path.name for path in (tmp_path / "pre").iterdir()) == [
        *("config.json", "config_sentence_transformers.json", "encoder.yaml", "model.safetensors", "modules.json"),
        *("tokenizer.json", "tokenizer_config.json", "training.json"),
    ]
    assert msgspec.json.decode((tmp_path / "pre" / "training.json").read_bytes(), type=EncoderReport) == report
    start = EncoderStart(model=str(tmp_path / "pre"), fields={"residual_dropout": 0.0})
    how = {"query_instruction": "find: ", "code_instruction": "{language}: ", "translations": 100}
    found = tune_retrieval(settings(TuneRetrieval, packages, start=start, **how), tmp_path / "find")
    assert {name for one in found.exits for name in one.measures} == {"contrast", "found", "mrr", "mrr_translations"}
    assert found.rows > 120  # functions, and nearly as many programs in two languages
    model, tokenizer = load_encoder(tmp_path / "find")
    kept = model.config.query_instruction, model.config.code_instruction, model.config.residual_dropout
    assert kept == ("find: ", "{language}: ", 0.0)
    assert tokenizer.get_vocab() == load_encoder(tmp_path / "pre")[1].get_vocab()
    many = EncoderStart(model=str(tmp_path / "pre"), fields={"num_labels": 3})
    classes = tune_classes(settings(TuneClasses, packages, start=many), tmp_path / "classes")
    assert {name for one in classes.exits for name in one.measures} == {"classes", "right"}
    assert load_encoder(tmp_path / "classes")[0].config.num_labels == 3


@pytest.mark.slow
def test_every_exit_learns_to_find_code(packages: str, tmp_path: Path) -> None:
    contrast = ContrastSettings(replace=0.0)
    ways = {steps: TrainSettings(steps=steps, batch_size=8, learning_rate=1e-2) for steps in (1, 50)}
    before, after = (
        tune_retrieval(settings(TuneRetrieval, packages, contrast=contrast, training=how), tmp_path / str(steps))
        for steps, how in ways.items()
    )
    for early, late in zip(before.exits, after.exits, strict=True):
        assert late.measures["mrr"] > early.measures["mrr"] + 0.2, (early, late)


@pytest.mark.slow
def test_tokens_that_are_learnt_as_bags_find_code_before_any_layer_does(packages: str, tmp_path: Path) -> None:
    fields = SHAPE | {"pooling": "mean", "embedding_range": 0.3, "initializer_range": 0.01}
    others = dict(zip(VERBS, NOUNS, strict=False))  # code never says what its description does
    snippets = [
        Snippet(package="p", place=f"{one}{two}", code=f"{others[one]}({others[two]})\n", description=f"{one} {two}")
        for one in others
        for two in others
    ]
    contrast = ContrastSettings(replace=0.0)
    start = EncoderStart(tokenizer=EncoderTokenizer(vocabulary=400, kind="parts"), fields=fields)
    config = settings(TuneRetrieval, packages, start=start, contrast=contrast)
    model, tokenizer = started(start, [f"{one.description} {one.code}" for one in snippets], 0)
    rows = pair_rows(tokenizer, snippets, 40, (None, None), False, random.Random(0), renamed=False)
    asking = Asking(name="mrr", snippets=snippets, instructions=(None, None))
    layers = [parameter.detach().clone() for parameter in model.layers.parameters()]
    before = reciprocal_rank(model, tokenizer, 2, asking)
    learn_bags(model, rows, BagSettings(steps=40, batch_size=64), config, tokenizer.pad_token_id)
    assert reciprocal_rank(model, tokenizer, 2, asking) > before + 0.3
    assert all(map(torch.equal, layers, model.layers.parameters()))
    with pytest.raises(UsageError, match=r"set start\.fields\.pooling=mean"):
        tune_retrieval(settings(TuneRetrieval, packages, bag=BagSettings(steps=1)), tmp_path / "cls")


class _Stopped(Exception):
    """Stands for whatever ends a process in the middle of a training."""


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    follower = training.follower

    def stopping(steps: int) -> Any:
        class Stopping(type(follower(steps))):
            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step == step:
                    raise _Stopped

        return Stopping()

    monkeypatch.setattr(training, "follower", stopping)


@pytest.mark.slow
def test_a_training_that_was_stopped_goes_on_to_the_same_encoder(packages: str, tmp_path: Path) -> None:
    config = settings(PretrainEncoder, packages, 5)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(3, patch)
        with pytest.raises(_Stopped):
            pretrain_encoder(config, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "training.json").exists()
    ends = []
    for name in ("stopped", "whole"):
        pretrain_encoder(config, tmp_path / name)
        ends.append(weights_of(tmp_path / name))
    assert torch.equal(*ends)  # masks and dropout are drawn as they would have been
    written = (tmp_path / "whole" / "model.safetensors").stat().st_mtime_ns
    pretrain_encoder(config, tmp_path / "whole")
    assert (tmp_path / "whole" / "model.safetensors").stat().st_mtime_ns == written  # it was done
    with pytest.raises(UsageError, match="holds an encoder of other settings"):
        pretrain_encoder(settings(PretrainEncoder, packages, 6), tmp_path / "whole")


@pytest.mark.slow
def test_an_encoder_for_one_exit_is_scored_at_that_one_and_can_be_cut_there(packages: str, tmp_path: Path) -> None:
    config = settings(TuneRetrieval, packages, exits=ExitSettings(only=1))
    report = tune_retrieval(config, tmp_path / "one")
    assert [one.exit for one in report.exits] == [1]
    said = CliRunner().invoke(
        encoder, ["truncate", str(tmp_path / "one"), "--exit", "1", "--out", str(tmp_path / "cut")]
    )
    assert said.exit_code == 0, said.output
    assert load_encoder(tmp_path / "cut")[0].config.exit_layers == [1]
    assert (tmp_path / "cut" / "modules.json").is_file()
    again = CliRunner().invoke(
        encoder, ["truncate", str(tmp_path / "one"), "--exit", "1", "--out", str(tmp_path / "cut")]
    )
    assert isinstance(again.exception, UsageError)


@pytest.mark.slow
def test_what_makes_no_sense_is_said_before_anything_is_trained(packages: str, tmp_path: Path) -> None:
    def fails(match: str, **values: Any) -> None:
        with pytest.raises(UsageError, match=match):
            tune_retrieval(settings(TuneRetrieval, packages, **values), tmp_path)

    tokenizer = EncoderTokenizer(vocabulary=400)
    fails("no 'hidden' in its configuration", start=EncoderStart(tokenizer=tokenizer, fields={"hidden": 1}))
    fails("no encoder of that shape", start=EncoderStart(tokenizer=tokenizer, fields=SHAPE | {"exit_layers": [1]}))
    fails("layer 5 is no exit", exits=ExitSettings(only=5))
    fails("context holds 40 tokens", max_length=41)


@pytest.mark.parametrize(
    ("kind", "values", "match"),
    [
        (PretrainEncoder, {"snippets": 1}, "no context to classify"),
        (PretrainEncoder, {"snippets": 0, "masking": MaskingSettings(context=0.0)}, "snippets 0"),
        (TuneRetrieval, {"save_as": "int8"}, "save_as"),
        (TuneRetrieval, {"translations": -1}, "translations -1"),
        (TuneRetrieval, {"max_length": 2}, "max_length 2"),
        (TuneRetrieval, {"training": TrainSettings(steps=1, lora=LoraSettings())}, "leave lora and window out"),
        (TuneRetrieval, {"training": TrainSettings(steps=1, max_length=9)}, "give max_length"),
        (TuneClasses, {"clones": "bigclonebench"}, "data changes nothing beside clones"),
    ],
)
def test_settings_that_can_change_nothing_or_make_no_sense_are_refused(kind: Any, values: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        settings(kind, "packages", **values)


def test_a_start_is_a_checkpoint_or_a_shape() -> None:
    for values, match in (
        ({}, "give either model, or tokenizer"),
        ({"model": "a", "fields": {"hidden_size": 8}}, "hidden_size is the checkpoint's"),
    ):
        with pytest.raises(ValueError, match=match):
            EncoderStart(**values)
    wrong: list[tuple[Any, dict[str, Any], str]] = [
        (EncoderTokenizer, {}, "vocabulary"),
        (EncoderTokenizer, {"vocabulary": 300, "name": "a"}, "vocabulary"),
        (EncoderTokenizer, {"vocabulary": 12}, "vocabulary"),
        (EncoderTokenizer, {"vocabulary": 300, "kind": "words"}, "bytes or parts"),
        (EncoderTokenizer, {"name": "a", "kind": "parts"}, "leave kind out"),
        (BagSettings, {"steps": 0}, "bag: steps and batch_size"),
        (BagSettings, {"steps": 1, "batch_size": 0}, "bag: steps and batch_size"),
        (BagSettings, {"steps": 1, "learning_rate": 0.0}, "bag: steps and batch_size"),
    ]
    for kind, given, match in wrong:
        with pytest.raises(ValueError, match=match):
            kind(**given)


@pytest.mark.parametrize(
    ("kind", "config"),
    [("encoder-pretrain", PretrainEncoder), ("encoder-retrieval", TuneRetrieval), ("encoder-classify", TuneClasses)],
)
def test_shipped_recipes_are_whole(kind: str, config: Any) -> None:
    from distill.encoder import MultiExitEncoderConfig

    assert {"cpu", "paper"} <= {*shipped(kind)}
    for name in shipped(kind):
        recipe = load_recipe(kind, name, config)
        known = vars(MultiExitEncoderConfig())
        assert set(recipe.start.fields) <= set(known)
        if recipe.start.tokenizer is not None:
            MultiExitEncoderConfig(**recipe.start.fields)
