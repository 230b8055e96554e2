"""Encoders small enough to be made in a test: four layers of sixteen numbers, exits at 1, 2 and 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXTS = (
    "def add(a, b):\n    return a + b\n",
    "class Stack:\n    def pop(self): ...\n",
    "add two numbers",
    "<mask> <cls>",
)
# What a training begins with: two layers.
SHAPE: Mapping[str, Any] = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "exit_layers": [1, 2],
    "max_position_embeddings": 40,
    "attention_dropout": 0.0,
    "residual_dropout": 0.0,
    "embedding_dropout": 0.0,
}


def small_encoder(seed: int = 0, **fields: Any) -> tuple[Any, Any]:
    """Return an encoder with random weights, large enough that layers differ, and its tokenizer."""
    import torch

    from distill.encoder import MultiExitEncoder, MultiExitEncoderConfig
    from distill.encoder_input import with_special_tokens
    from distill.scratch import bpe_tokenizer

    tokenizer = with_special_tokens(bpe_tokenizer(TEXTS, 300))
    shape = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "exit_layers": (1, 2, 4),
        "max_position_embeddings": 48,
        "initializer_range": 0.2,
    }
    config = MultiExitEncoderConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape | fields)
    torch.manual_seed(seed)
    return MultiExitEncoder(config).eval(), tokenizer
