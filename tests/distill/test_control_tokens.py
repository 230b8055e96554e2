"""A teacher's text is text: no word of it becomes a token that ends a text or a turn."""

from __future__ import annotations

import os
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

from made_tokenizers import code_llama_tokenizer
from tokenizers import AddedToken, processors

from distill.pairs import pairs_of
from distill.rows import rows_of
from distill.scratch import TokenizerRecipe, make_tokenizer

pytestmark = pytest.mark.hf

TEXTS = ["def f(a):\n    return a\n"] * 9


def byte_level(begins: bool = False) -> Any:
    """Return a tokenizer over bytes with a token that ends a turn, which no list of special tokens names."""
    tokenizer = make_tokenizer(TokenizerRecipe(vocabulary=300), TEXTS)
    tokenizer.add_tokens([AddedToken("<|turn|>", special=True)])
    if begins:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<|turn|> $A", special_tokens=[("<|turn|>", tokenizer.convert_tokens_to_ids("<|turn|>"))]
        )
    return tokenizer


@pytest.mark.parametrize(
    ("made", "control"),
    [
        (byte_level, ["<|endoftext|>", "<|turn|>"]),
        (lambda: byte_level(begins=True), ["<|endoftext|>", "<|turn|>"]),
        (code_llama_tokenizer, ["<s>", "</s>"]),
    ],
    ids=["bytes", "bytes behind a mark", "CodeLlama"],
)
def test_no_text_becomes_a_control_token(made: Any, control: list[str]) -> None:
    tokenizer = made()
    marks = set(tokenizer.convert_tokens_to_ids(control))
    plain, odd = ("f\n", "    return a\n", "    return\n"), [f"    # {mark}{mark} a\n" for mark in control]
    assert all(marks & set(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in odd)
    before = len(tokenizer("")["input_ids"])
    for text in odd:
        texts = [plain, (text.lstrip(), *plain[1:]), ("f\n", text, plain[2]), ("f\n", plain[1], text)]
        rows = rows_of(tokenizer, [one[:2] for one in texts])
        for row, pair, (prompt, right, wrong) in zip(rows, pairs_of(tokenizer, texts), texts, strict=True):
            for tokens, answer in ((row.tokens, right), (pair.tokens, right), (pair.rejected, wrong)):
                assert tokens[-1] == tokenizer.eos_token_id
                assert not marks & set(tokens[before:-1])
                assert tokenizer.decode(tokens[before:-1], clean_up_tokenization_spaces=False) == prompt + answer
                assert not marks & set(tokens[pair.prompt : -1])
        assert rows[0] == rows_of(tokenizer, [plain[:2]])[0]  # whatever stands beside it
        assert marks & set(tokenizer(text, add_special_tokens=False)["input_ids"])  # it does not go on like that


def test_texts_without_any_are_tokenized_as_by_the_model_that_reads_them() -> None:
    class Refusing:
        """A tokenizer that knows no such option, as Mistral's own."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def __call__(self, text: Any, **options: Any) -> Any:
            assert "split_special_tokens" not in options
            return self._inner(text, **options)

    tokenizer = byte_level(begins=True)
    (row,) = rows_of(Refusing(tokenizer), [("f\n", "    return a\n")])
    said = tokenizer("    return a\n", add_special_tokens=False)["input_ids"]
    assert row.tokens == (*tokenizer("f\n")["input_ids"], *said, tokenizer.eos_token_id)
