"""Texts -> rows of tokens, with what counts in the loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distill.training import Row

_SPACE = "\u2581"  # what SentencePiece writes for one


def rows_of(tokenizer: Any, pairs: Iterable[tuple[str, str]], prompt_weight: float = 0.0) -> list[Row]:
    """Return a row for each prompt and answer: the answer and the end of the text count 1, the prompt `prompt_weight`.

    Prompt and answer are tokenized apart, as they are when a model continues a prompt. Without an end token in the
    tokenizer, none is added. What reads like a control token in them is text: others wrote it.
    """
    prompts, answers = zip(*pairs, strict=True)
    end = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)
    asked = prompt_tokens(tokenizer, prompts)
    said = _tokens_behind_a_prompt(tokenizer, answers)
    return [
        Row(
            tokens=(*before, *after, *end),
            weights=(prompt_weight,) * len(before) + (1.0,) * (len(after) + len(end)),
        )
        for before, after in zip(asked, said, strict=True)
    ]


def prompt_tokens(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of prompts, behind those that the tokenizer itself puts before a text."""
    return _tokens_of_text(tokenizer, prompts, add_special_tokens=True)


def pad_of(tokenizer: Any) -> int:
    """Return a token to fill up batches with: the tokenizer's own, else the end of a text, as CodeLlama has none."""
    return next(token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if token is not None)


def _tokens_behind_a_prompt(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of texts that go on behind others.

    Llama's tokenizers begin a text of its own with a space that is not in it: learnt at the start of an answer, it
    would be one space too many in its first line. They give a newline a token of its own in any company.
    """
    first = tokenizer("x", add_special_tokens=False)["input_ids"][:1]
    if not any(token.startswith(_SPACE) for token in tokenizer.convert_ids_to_tokens(first)):
        return _tokens_of_text(tokenizer, texts, add_special_tokens=False)
    newline = tokenizer("\n", add_special_tokens=False)["input_ids"]
    behind = _tokens_of_text(tokenizer, ["\n" + text for text in texts], add_special_tokens=False)
    return [tokens[len(newline) :] for tokens in behind]


def _tokens_of_text(tokenizer: Any, texts: Sequence[str], add_special_tokens: bool) -> list[list[int]]:
    """Return the tokens of texts, in which the name of a control token is spelled like any other word.

    Only a text that needs it is asked for so: there are tokenizers that never read control tokens in a text, and refuse
    the option.
    """
    control = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    control.update(tokenizer.all_special_ids)
    own = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    tokens = tokenizer(list(texts))["input_ids"] if add_special_tokens else own
    return [
        tokenizer(text, add_special_tokens=add_special_tokens, split_special_tokens=True)["input_ids"]
        if control.intersection(of_text)
        else whole
        for text, of_text, whole in zip(texts, own, tokens, strict=True)
    ]


def text_rows(tokenizer: Any, texts: Iterable[str]) -> list[Row]:
    """Return a row for each text, all of whose tokens count."""
    return [Row(tokens=tuple(tokens)) for tokens in tokenizer(list(texts))["input_ids"]]
