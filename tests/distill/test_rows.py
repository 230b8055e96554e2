"""Rows of tokens are what a model reads and writes when it continues a prompt, whatever its tokenizer's habits."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

from made_tokenizers import code_llama_tokenizer

from distill.pairs import pairs_of
from distill.rows import pad_of, rows_of
from distill.scratch import ModelRecipe, TokenizerRecipe, build_model, make_tokenizer, save

pytestmark = pytest.mark.hf

PROMPT, ANSWER = "def f(a):\n", "    return a\n"


@pytest.fixture(scope="module")
def llamas() -> Any:
    return code_llama_tokenizer()


def test_an_answer_begins_with_no_space_that_is_not_in_it(llamas: Any) -> None:
    (row,) = rows_of(llamas, [(PROMPT, ANSWER)])
    end = (llamas.eos_token_id,)
    assert row.tokens == (*llamas(PROMPT + ANSWER)["input_ids"], *end)  # it has marks of its own between the two
    assert llamas.decode(row.tokens, skip_special_tokens=True).lstrip(" ") == PROMPT + ANSWER
    written = len(llamas(PROMPT)["input_ids"])
    assert row.weights == (0.0,) * written + (1.0,) * (len(row.tokens) - written)
    (pair,) = pairs_of(llamas, [(PROMPT, "a\n", "b\n")])
    assert llamas.convert_ids_to_tokens(pair.chosen.tokens[pair.prompt :]) == ["a", "<0x0A>", "</s>"]
    assert llamas.convert_ids_to_tokens(llamas("a", add_special_tokens=False)["input_ids"]) == ["\u2581", "a"]


def test_a_tokenizer_over_bytes_is_asked_for_the_answer_alone() -> None:
    tokenizer = make_tokenizer(TokenizerRecipe(vocabulary=300), [PROMPT + ANSWER] * 9)
    (row,) = rows_of(tokenizer, [(PROMPT, ANSWER)])
    asked, said = (tokenizer(text)["input_ids"] for text in (PROMPT, ANSWER))
    assert row.tokens == (*asked, *said, tokenizer.eos_token_id)


def test_without_a_token_to_fill_up_with_the_end_of_a_text_does(llamas: Any) -> None:
    assert llamas.pad_token_id is None
    assert pad_of(llamas) == llamas.eos_token_id
    tokenizer = make_tokenizer(TokenizerRecipe(kind="characters"), ["ab"])
    assert pad_of(tokenizer) == tokenizer.pad_token_id == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_checkpoint_says_the_type_of_its_weights(tmp_path: Path, dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(TokenizerRecipe(kind="characters"), ["ab"])
    fields = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    model = build_model(ModelRecipe(family="llama", fields={**fields, "num_key_value_heads": 1}), tokenizer, 0)
    save(model, tokenizer, tmp_path, dtype)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == dtype
    assert AutoModelForCausalLM.from_pretrained(tmp_path, dtype="auto").dtype == getattr(torch, dtype)
