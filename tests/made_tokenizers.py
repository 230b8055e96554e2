"""Tokenizers of published classes, small and made by hand."""

from __future__ import annotations

import string
from typing import Any

SPACE = "\u2581"  # what SentencePiece writes for one


def code_llama_tokenizer() -> Any:
    """Return one of CodeLlama's class: with its marks of spaces, bytes, and no token to fill batches up with."""
    from transformers import CodeLlamaTokenizer

    letters = [one for one in string.printable if not one.isspace()]
    pieces = [SPACE * 2, SPACE * 4, "re", "ret", "retu", "retur", "return"]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), SPACE, *letters, *pieces]
    merges = [
        (SPACE, SPACE),
        (SPACE * 2, SPACE * 2),
        ("r", "e"),
        ("re", "t"),
        ("ret", "u"),
        ("retu", "r"),
        ("retur", "n"),
    ]
    return CodeLlamaTokenizer(vocab={token: place for place, token in enumerate(tokens)}, merges=merges)
