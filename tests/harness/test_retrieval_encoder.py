"""Encoders of transformers in retrieval: their exits, their pooling, and what becomes of a machine without memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import numpy
import torch
from transformers import BertConfig, BertForMaskedLM, BertModel, T5Config, T5Model

from harness import EvalConfig, MeasurementInvalid, ModelOptions, ModelUnavailable, UsageError, evaluate, load_run
from harness.records import Document
from harness.retrieval.encoder import Encoder
from tests.distill.made_encoders import TEXTS, small_encoder

pytestmark = pytest.mark.hf
SOME = [Document(doc_id=str(place), text=text, language="python") for place, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def with_exits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an encoder with exits at 1, 2 and 4."""
    folder = tmp_path_factory.mktemp("exits")
    model, tokenizer = small_encoder(code_instruction="Some {language}:")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """Return the folder of a masked language model with random weights, whose pooler is not in it."""
    torch.manual_seed(0)
    _, tokenizer = small_encoder()
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=24, initializer_range=0.5, **shape)
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": str(place), "text": text, "language": "python"}) for place, text in enumerate(TEXTS)]
    (folder / "corpus.jsonl").write_text("\n".join(lines))
    (folder / "queries.jsonl").write_text("\n".join(lines))  # each finds itself
    (folder / "qrels" / "test.tsv").write_text("".join(f"{place}\t{place}\t1\n" for place in range(len(TEXTS))))
    return folder


def load(folder: Path, **options: Any) -> Encoder:
    return Encoder.load(str(folder), ModelOptions(device="cpu", **options))


def vectors(encoder: Encoder, exit: int, batch_size: int = 2) -> numpy.ndarray:
    """Return the cosines of some texts with each other."""
    return encoder.index(SOME, exit, batch_size).scores(SOME)


def test_a_run_measures_every_exit_and_counts_the_chosen_one(with_exits: Path, corpus: Path, tmp_path: Path) -> None:
    options = ModelOptions(device="cpu", exit=2)
    config = EvalConfig(model=str(with_exits), tasks=(str(corpus),), out=tmp_path / "run", options=options)
    (report,) = evaluate(config)
    assert (report.outcomes["passed"], [one.exit for one in report.exits]) == (4, [1, 2, 4])
    assert [one.latency.exit for one in report.exits if one.latency] == [1, 2, 4]
    assert load_run(tmp_path / "run").config.runtime["exit"] == "2"
    assert (tmp_path / "run" / "curve.svg").read_text().count("<circle") == 4  # an exit each, and the legend


def test_an_exit_embeds_as_the_model_does_with_its_instruction(with_exits: Path) -> None:
    model, tokenizer = small_encoder(code_instruction="Some {language}:")
    rows = model.encode(TEXTS, tokenizer=tokenizer, exit=2, instruction="Some python:")
    assert vectors(load(with_exits), 2) == pytest.approx(rows @ rows.T, abs=1e-5)
    assert not numpy.allclose(vectors(load(with_exits), 1), rows @ rows.T, atol=1e-3)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_model_without_exits_embeds_at_its_last_layer(bert: Path, pooling: str) -> None:
    encoder = load(bert, pooling=pooling)
    assert (encoder.exits, encoder.runtime["pooling"], encoder.runtime["max_tokens"]) == ((2,), pooling, "24")
    model, (_, tokenizer) = BertModel.from_pretrained(bert).eval(), small_encoder()
    rows = []
    for text in TEXTS:  # one by one, so that nothing is padded
        with torch.no_grad():
            batch = tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
            states = model(**batch).last_hidden_state[0]
        rows.append(torch.nn.functional.normalize(states.mean(0) if pooling == "mean" else states[0], dim=-1).numpy())
    expected = numpy.stack(rows)
    assert vectors(encoder, 2) == pytest.approx(expected @ expected.T, abs=1e-5)


def test_pooling_and_prompts_are_those_of_sentence_transformers_files(bert: Path) -> None:
    write(bert / "modules.json", [{"path": "", "type": "a.Transformer"}, {"path": "1_Pooling", "type": "a.Pooling"}])
    write(bert / "1_Pooling" / "config.json", {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    write(bert / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "passage": "passage: "}})
    encoder = load(bert)
    assert (encoder.runtime["pooling"], encoder.runtime["query_prompt"]) == ("cls", "query: ")
    asked = Document(doc_id="", text="add two numbers")
    written = [Document(doc_id="", text=f"{side}: add two numbers") for side in ("passage", "query")]
    (bert / "config_sentence_transformers.json").unlink()
    (score,) = load(bert).index(written[:1], 2, 1).scores(written[1:])
    (with_prompt,) = encoder.index([asked], 2, 1).scores([asked])
    assert score[0] == pytest.approx(with_prompt[0], abs=1e-5)
    assert score[0] < 0.999
    write(bert / "1_Pooling" / "config.json", {"pooling_mode_max_tokens": True})
    with pytest.raises(UsageError, match="pools by pooling_mode_max_tokens: give --pooling"):
        load(bert)
    write(bert / "modules.json", [{"path": "2_Dense", "type": "a.Dense"}])
    with pytest.raises(UsageError, match="has a Dense behind its pooling"):
        load(bert)


def write(path: Path, record: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record))


def test_memory_that_is_short_makes_batches_smaller_and_ends_the_run_at_one(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = load(bert)
    expected = vectors(encoder, 2)
    whole, sizes, most = BertModel.forward, [], 2

    def forward(self: Any, input_ids: Any, **rest: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > most:
            raise torch.OutOfMemoryError("no memory")
        return whole(self, input_ids, **rest)

    monkeypatch.setattr(BertModel, "forward", forward)
    assert encoder.index(SOME, 2, 4).scores(SOME) == pytest.approx(expected, abs=1e-5)
    assert max(sizes) == 4
    most = 0
    with pytest.raises(MeasurementInvalid, match="ran out of memory on cpu with one text at once"):
        encoder.index(SOME, 2, 4)


def test_a_model_with_a_decoder_embeds_nothing(tmp_path: Path) -> None:
    _, tokenizer = small_encoder()
    shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}
    T5Model(T5Config(vocab_size=len(tokenizer), **shape)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="a decoder behind its encoder"):
        load(tmp_path)


def test_a_model_that_fails_is_no_machine_that_does(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = load(bert)

    def forward(*_: Any, **__: Any) -> None:
        raise IndexError("index out of range in self")

    monkeypatch.setattr(BertModel, "forward", forward)
    with pytest.raises(ModelUnavailable, match="failed while embedding: index out of range"):
        encoder.index(SOME, 2, 4)


def test_a_checkpoint_that_is_not_whole_is_refused(bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(bert / "model.safetensors")
    weights.pop("bert.encoder.layer.1.output.dense.weight")
    save_file(weights, bert / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelUnavailable, match="not whole: 1 of the tensors"):
        load(bert)


@pytest.mark.parametrize(
    ("options", "match"),
    [({"pooling": "mean"}, "in a way of its own"), ({"quantization": "8bit"}, "without quantization")],
)
def test_an_option_that_an_encoder_does_not_have_is_refused(
    with_exits: Path, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(UsageError, match=match):
        load(with_exits, **options)
