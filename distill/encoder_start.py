"""What an encoder is trained from: a checkpoint, or random weights of a shape with a tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distill.encoder_settings import PARTS, EncoderStart, EncoderTokenizer
from distill.scratch import bpe_tokenizer
from harness import MissingDependency, UsageError, find_checkpoint


def started(start: EncoderStart, texts: Sequence[str], seed: int) -> tuple[Any, Any]:
    """Return the encoder to train and its tokenizer. Random weights are the same for the same seed.

    Raises UsageError for a shape that makes no sense or a checkpoint that is none, MissingDependency without
    transformers 5.
    """
    import torch

    try:
        from distill.encoder import MultiExitEncoder, MultiExitEncoderConfig, load_encoder
    except ImportError as error:
        raise MissingDependency(
            f"encoders need transformers 5: pip install 'code-harness[retrieval]' ({error})"
        ) from error

    torch.manual_seed(seed)  # for heads too that a checkpoint has in another size
    if start.model is not None:
        return load_encoder(find_checkpoint(start.model).folder, **start.fields)
    tokenizer = _tokenizer(start.tokenizer or EncoderTokenizer(vocabulary=257), texts)
    known = vars(MultiExitEncoderConfig())
    if unknown := sorted(field for field in start.fields if field not in known):
        raise UsageError(f"an encoder has no {unknown[0]!r} in its configuration")
    try:
        config = MultiExitEncoderConfig(
            **{"pad_token_id": tokenizer.pad_token_id} | start.fields | {"vocab_size": len(tokenizer)}
        )
    except (TypeError, ValueError) as error:
        raise UsageError(f"no encoder of that shape: {str(error).splitlines()[0]}") from error
    return MultiExitEncoder(config), tokenizer


def _tokenizer(recipe: EncoderTokenizer, texts: Sequence[str]) -> Any:
    from transformers import AutoTokenizer

    from distill.encoder_input import part_tokenizer, with_special_tokens

    if recipe.vocabulary is not None:
        if not texts:
            raise UsageError("start.tokenizer.vocabulary makes tokens of code, and there is none: give a name")
        made = part_tokenizer if recipe.kind == PARTS else bpe_tokenizer
        return with_special_tokens(made(texts, recipe.vocabulary))
    return with_special_tokens(AutoTokenizer.from_pretrained(str(find_checkpoint(str(recipe.name)).folder)))
