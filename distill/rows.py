"""Texts -> rows of tokens, with what counts in the loss."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distill.training import Row


def rows_of(tokenizer: Any, pairs: Iterable[tuple[str, str]], prompt_weight: float = 0.0) -> list[Row]:
    """Return a row for each prompt and answer: the answer and the end of the text count 1, the prompt `prompt_weight`.

    Prompt and answer are tokenized apart, as they are when a model continues a prompt. Without an end token in the
    tokenizer, none is added.
    """
    prompts, answers = zip(*pairs, strict=True)
    end = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    asked = tokenizer(list(prompts))["input_ids"]
    said = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    return [
        Row(
            tokens=(*before, *after, *end),
            weights=(prompt_weight,) * len(before) + (1.0,) * (len(after) + len(end)),
        )
        for before, after in zip(asked, said, strict=True)
    ]


def text_rows(tokenizer: Any, texts: Iterable[str]) -> list[Row]:
    """Return a row for each text, all of whose tokens count."""
    return [Row(tokens=tuple(tokens)) for tokens in tokenizer(list(texts))["input_ids"]]
