"""The encoder: what an exit computes and what it leaves out, how texts are packed, and that it is kept as any model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from distill.encoder import MultiExitEncoderConfig, load_encoder, pooled, register, truncated
from distill.encoder_input import packed, packed_texts, padded, part_tokenizer, text_tokens, with_special_tokens
from distill.scratch import ModelRecipe, build_model, save
from harness import UsageError
from tests.distill.made_encoders import TEXTS, small_encoder

pytestmark = pytest.mark.hf


def test_an_exit_computes_no_layer_behind_it_and_is_bit_equal_to_the_whole_model() -> None:
    model, tokenizer = small_encoder()
    called: list[int] = []
    for number, layer in enumerate(model.layers, 1):
        layer.register_forward_hook(lambda *_, number=number: called.append(number))
    early = model.encode(TEXTS, tokenizer=tokenizer, exit=2)
    assert called == [1, 2]
    batch = padded(packed_texts(tokenizer, TEXTS, 48), tokenizer.pad_token_id)
    with torch.no_grad():
        whole = model(**batch).exit_states[1]
        expected = model.project(pooled(whole, batch["attention_mask"]), 1)
    assert called == [1, 2, 1, 2, 3, 4]
    assert np.array_equal(early, expected.numpy())
    assert not np.allclose(early, model.encode(TEXTS, tokenizer=tokenizer), atol=1e-2)


def test_embeddings_are_of_length_one_in_the_order_of_the_texts() -> None:
    model, tokenizer = small_encoder()
    model.train()
    together = model.encode(TEXTS, tokenizer=tokenizer, exit=4, batch_size=3)
    assert model.training  # as it was
    assert (together.dtype, together.shape) == (np.float32, (len(TEXTS), 16))
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)))
    alone = np.concatenate([model.encode([text], tokenizer=tokenizer) for text in TEXTS])
    assert together == pytest.approx(alone, abs=1e-5)  # what a batch is filled up with changes nothing
    assert model.encode([], tokenizer=tokenizer).shape == (0, 16)


def test_every_token_sees_those_behind_it() -> None:
    model, tokenizer = small_encoder()
    rows = [(5, 6, 7, 8), (5, 6, 7, 9)]
    with torch.no_grad():
        states = model(**padded(rows, tokenizer.pad_token_id)).last_hidden_state
    assert not torch.allclose(states[0, 0], states[1, 0], atol=1e-3)


def test_a_mean_stands_for_a_text_and_first_weights_compare_texts_by_their_tokens() -> None:
    model, tokenizer = small_encoder(pooling="mean", initializer_range=0.01, embedding_range=0.5)
    assert float(model.embed_tokens.weight.detach().std()) == pytest.approx(0.5, rel=0.1)
    assert float(model.layers[0].mlp.c_fc.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    rows = [(5, 6, 7, 8), (8, 6, 5, 7), (9, 10, 11, 12)]
    with torch.no_grad():
        outputs = model(**padded(rows, tokenizer.pad_token_id))
        first, shuffled, other = model.project(outputs.exit_vectors[2], 2)
        bags = torch.stack([model.embed_tokens.weight[list(row)].mean(0) for row in rows])
    assert float(first @ shuffled) > 0.99 > 0.9 > float(first @ other)
    assert outputs.exit_vectors[0] == pytest.approx(model.norm(bags).detach(), abs=0.05)
    alone = np.concatenate([model.encode([text], tokenizer=tokenizer) for text in TEXTS])
    assert model.encode(TEXTS, tokenizer=tokenizer) == pytest.approx(
        alone, abs=1e-5
    )  # blanks of a batch count for nothing


def test_parts_of_identifiers_are_the_same_tokens_however_they_are_written() -> None:
    tokenizer = with_special_tokens(part_tokenizer(["read lines of the HTTP server, url parser 12"] * 3, 300))
    one, *others = text_tokens(tokenizer, ["readLines", "read_lines", "Read lines!", "__READ_lines(  )"])
    assert others == [one] * 3
    (server,) = text_tokens(tokenizer, ["HTTPServer.url12"])
    assert server == text_tokens(tokenizer, ["http server url 1 2"])[0]
    assert tokenizer.decode(server).split() == ["httpserverurl12"]  # of what was left out nothing comes back
    assert packed_texts(tokenizer, ["<cls>"], 48)[0][1] != tokenizer.cls_token_id


def test_texts_are_packed_and_control_tokens_in_them_are_words() -> None:
    _, tokenizer = small_encoder()
    sep, cls = tokenizer.sep_token_id, tokenizer.cls_token_id
    (asked,), (text,) = text_tokens(tokenizer, ["find: "]), text_tokens(tokenizer, ["<cls>"])
    assert cls not in text
    assert tokenizer.decode(text) == "<cls>"
    assert packed_texts(tokenizer, ["<cls>"], 48, "find: ") == [(sep, *asked, sep, *text, cls)]
    assert packed_texts(tokenizer, ["<cls>"], 48) == [(sep, *text, cls)]


def test_what_is_too_long_loses_its_end_and_a_short_part_nothing() -> None:
    _, tokenizer = small_encoder()
    sep, cls = tokenizer.sep_token_id, tokenizer.cls_token_id
    assert packed(tokenizer, [range(10, 13), range(20, 40)], 12) == (
        *(sep, 10, 11, 12),
        *(sep, 20, 21, 22, 23, 24, 25, cls),
    )
    assert packed(tokenizer, [range(10, 30), range(30, 50), [9]], 10) == (sep, 10, 11, sep, 30, 31, sep, 9, cls)
    with pytest.raises(UsageError, match="do not fit into 4 tokens"):
        packed(tokenizer, [[1], [2]], 4)


def test_it_is_saved_and_loaded_by_transformers_own_classes(tmp_path: Path) -> None:
    model, tokenizer = small_encoder(query_instruction="find: ")
    save(model, tokenizer, tmp_path)
    register()
    loaded, words = AutoModel.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert (loaded.config.exit_layers, loaded.config.query_instruction) == ([1, 2, 4], "find: ")
    assert words.padding_side == "left"
    for exit_layer in (1, 4):
        kept = loaded.encode(TEXTS, tokenizer=words, exit=exit_layer)
        assert np.array_equal(kept, model.encode(TEXTS, tokenizer=tokenizer, exit=exit_layer))


def test_a_truncated_encoder_gives_bit_by_bit_what_the_exit_gave(tmp_path: Path) -> None:
    model, tokenizer = small_encoder()
    save(truncated(model, 2), tokenizer, tmp_path)
    smaller, words = load_encoder(tmp_path)
    assert (smaller.config.num_hidden_layers, smaller.config.exit_layers) == (2, [1, 2])
    assert smaller.num_parameters() < model.num_parameters()
    for exit_layer in (1, 2):
        ours = smaller.encode(TEXTS, tokenizer=words, exit=exit_layer)
        assert np.array_equal(ours, model.encode(TEXTS, tokenizer=tokenizer, exit=exit_layer))
    batch = padded(packed_texts(tokenizer, TEXTS, 48), tokenizer.pad_token_id)
    with torch.no_grad():
        states = model(**batch, exit=2).last_hidden_state
        for head in ("token_logits", "context_logits", "class_logits"):
            assert torch.equal(getattr(model, head)(states, 1), getattr(smaller, head)(states, 1))


def test_layers_tell_the_shared_heads_apart() -> None:
    model, _ = small_encoder()
    states = torch.randn(2, 16)
    assert not torch.allclose(model.context_logits(states, 0), model.context_logits(states, 1))


def test_what_makes_no_sense_is_said(tmp_path: Path) -> None:
    model, tokenizer = small_encoder()
    with pytest.raises(UsageError, match="layer 3 is no exit of this encoder: use one of 1, 2, 4"):
        model.encode(TEXTS, tokenizer=tokenizer, exit=3)
    with pytest.raises(UsageError, match="no encoder in"):
        load_encoder(tmp_path)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    save(build_model(ModelRecipe(family="llama", fields=shape), tokenizer, 0), tokenizer, tmp_path)
    with pytest.raises(UsageError, match="is a llama model and no multi-exit encoder"):
        load_encoder(tmp_path)
    for exits in ((), (2, 1), (0, 4), (1, 2)):
        with pytest.raises(ValueError, match="exit_layers"):
            MultiExitEncoderConfig(num_hidden_layers=4, exit_layers=exits)
    with pytest.raises(ValueError, match="pooling 'max': cls or mean"):
        MultiExitEncoderConfig(pooling="max")
    with pytest.raises(ValueError, match="multiple of num_attention_heads"):
        MultiExitEncoderConfig(hidden_size=30)


def test_the_papers_shape_is_the_default() -> None:
    with torch.device("meta"):
        from distill.encoder import MultiExitEncoder

        model = MultiExitEncoder(MultiExitEncoderConfig())
    assert model.config.exit_layers == [4, 9, 18, 27, 36]
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(1.05e9, rel=0.02)
