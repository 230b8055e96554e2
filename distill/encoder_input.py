"""Texts as rows of the encoder's tokens, `<sep> text <sep> text <cls>`, and rows as batches, filled up on the left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distill.scratch import trained_bpe
from harness import UsageError

SPECIAL = {"sep_token": "<sep>", "cls_token": "<cls>", "mask_token": "<mask>"}
POOLINGS = CLS, MEAN = ("cls", "mean")  # what stands for a text
_SEAM = r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+"  # between the parts of an identifier
_PART = r"[^\W\d_]+|[0-9]"


def part_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Return a tokenizer of words, parts of identifiers and digits, in lower case; blanks and signs are left out.

    `readLines`, `read_lines` and "Read lines" are the same two tokens. Parts that are too rare for one of the
    `vocabulary` tokens are several (byte-level BPE).
    """
    from tokenizers import Regex, normalizers, pre_tokenizers

    seams = normalizers.Sequence([normalizers.Replace(Regex(_SEAM), " "), normalizers.Lowercase()])
    parts = pre_tokenizers.Split(Regex(_PART), behavior="removed", invert=True)
    return trained_bpe(
        texts, vocabulary, [parts, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)], seams
    )


def with_special_tokens(tokenizer: Any) -> Any:
    """Return a fast tokenizer with `<sep>`, `<cls>` and `<mask>` beside its own tokens, which fills up on the left."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token or tokenizer.eos_token,
        padding_side="left",
        **SPECIAL,
    )


def text_tokens(tokenizer: Any, texts: Sequence[str], most: int | None = None) -> list[list[int]]:
    """Return the tokens of texts, the first `most` of each; names of control tokens in them are spelled as words."""
    if not texts:
        return []
    cut = {} if most is None else {"truncation": True, "max_length": most}
    return list(tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, **cut)["input_ids"])


def packed(tokenizer: Any, parts: Sequence[Sequence[int]], max_length: int) -> tuple[int, ...]:
    """Return `<sep> part <sep> part <cls>`, of at most `max_length` tokens: the longest parts lose their ends.

    Raises UsageError where not one token of each part fits.
    """
    room = max_length - len(parts) - 1
    if room < len(parts):
        raise UsageError(f"{len(parts)} texts do not fit into {max_length} tokens: raise max_position_embeddings")
    share = _share(sorted(map(len, parts)), room)
    joined = [token for part in parts for token in (tokenizer.sep_token_id, *part[:share])]
    return (*joined, tokenizer.cls_token_id)


def _share(lengths: Sequence[int], room: int) -> int:
    """Return the most tokens that each part may keep, so that all fit; `lengths` ascend."""
    for place, length in enumerate(lengths):
        each = room // (len(lengths) - place)
        if length > each:
            return each
        room -= length
    return max(lengths, default=0)


def packed_texts(
    tokenizer: Any, texts: Sequence[str], max_length: int, instruction: str | None = None
) -> list[tuple[int, ...]]:
    """Return a row for each text, behind the instruction if there is one. Raises as `packed` does."""
    asked = text_tokens(tokenizer, [instruction], max_length) if instruction else []
    return [packed(tokenizer, [*asked, one], max_length) for one in text_tokens(tokenizer, texts, max_length)]


def padded(rows: Sequence[Sequence[int]], pad: int) -> dict[str, Any]:
    """Return a batch of rows as `input_ids` and `attention_mask`, filled up on the left."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for place, row in enumerate(rows):
        ids[place, width - len(row) :] = torch.tensor(row)
        mask[place, width - len(row) :] = 1
    return {"input_ids": ids, "attention_mask": mask}


def batches_by_length(rows: Sequence[Sequence[int]], batch_size: int) -> Iterator[list[int]]:
    """Yield the places of rows, `batch_size` at a time, the shortest rows first."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
