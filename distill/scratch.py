"""Models from scratch: a tokenizer made from the texts at hand, and a transformers model of a given shape.

What comes out is an ordinary checkpoint: a tokenizer.json, a config.json and weights that any tool loads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import UsageError

END = "<|endoftext|>"
SAVED_TYPES = ("float32", "float16", "bfloat16")
_WORD = r" ?\w+| ?[^\w\s]|\s"
_NUMBERS = 100


class TokenizerRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tokens: single characters, words, or byte-level BPE with so many tokens, in which every digit is its own.

    Words are those of the texts at hand and whole numbers below 100, each with the blank before it.
    """

    kind: str = "bpe"
    vocabulary: int = 768

    def __post_init__(self) -> None:
        if self.kind not in ("bpe", "characters", "words"):
            raise ValueError(f"kind {self.kind!r}: bpe, characters or words")
        if self.kind == "bpe" and self.vocabulary < 257:
            raise ValueError(f"vocabulary {self.vocabulary}: at least 257, all bytes and the end of a text")


class ModelRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model: a family of transformers (`llama`, `gpt2`, ...) and fields of its configuration.

    `biases: false` holds all biases at zero, for shapes of papers that have none in a family that does.
    """

    family: str
    fields: dict[str, Any] = {}
    biases: bool = True


def make_tokenizer(recipe: TokenizerRecipe, texts: Iterable[str]) -> Any:
    """Return a `PreTrainedTokenizerFast` made from texts, with `<|endoftext|>` (token 0) to end and to pad."""
    if recipe.kind == "bpe":
        return bpe_tokenizer(texts, recipe.vocabulary)
    return character_tokenizer(texts) if recipe.kind == "characters" else word_tokenizer(texts)


def character_tokenizer(texts: Iterable[str]) -> Any:
    """Return a tokenizer with a token per distinct character of the texts, in code point order, behind the end."""
    return _tokenizer_of({character for text in texts for character in text}, r"[\s\S]")


def word_tokenizer(texts: Iterable[str]) -> Any:
    """Return a tokenizer with a token per distinct word and sign of the texts, and for each number from 0 to 99.

    A token has the blank before it. What is none of them reads as the end of a text.
    """
    numbers = {f"{blank}{number}" for number in range(_NUMBERS) for blank in ("", " ")}
    return _tokenizer_of({word for text in texts for word in re.findall(_WORD, text)} | numbers, _WORD)


def _tokenizer_of(pieces: Collection[str], pattern: str) -> Any:
    """Return a tokenizer that splits texts by a pattern, with a token for each of the pieces that come of it."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {token: place for place, token in enumerate([END, *sorted(pieces)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=END))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return _wrapped(tokenizer)


def bpe_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """Return a byte-level BPE tokenizer (Sennrich et al. 2016, over bytes as in GPT-2) of `vocabulary` tokens."""
    from tokenizers import pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return trained_bpe(texts, vocabulary, [pre_tokenizers.Digits(individual_digits=True), byte_level])


def trained_bpe(texts: Iterable[str], vocabulary: int, pre_tokenizers: Sequence[Any], normalizer: Any = None) -> Any:
    """Return a byte-level BPE tokenizer that splits texts as told before it merges, into bytes at the last."""
    from tokenizers import Tokenizer, decoders, models, trainers
    from tokenizers import pre_tokenizers as library

    tokenizer = Tokenizer(models.BPE())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = library.Sequence(list(pre_tokenizers))
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=library.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _wrapped(tokenizer)


def _wrapped(tokenizer: Any) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def build_model(recipe: ModelRecipe, tokenizer: Any, seed: int) -> Any:
    """Return a causal language model with random weights, the same for the same seed.

    Vocabulary and special tokens are the tokenizer's. Raises UsageError for a family or field that transformers does
    not know.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    special: Mapping[str, Any] = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id}
    try:
        config = AutoConfig.for_model(recipe.family)
        unknown = sorted(field for field in recipe.fields if not hasattr(config, field))
        if unknown:
            raise UsageError(f"a {recipe.family} model has no {unknown[0]!r} in its configuration")
        config = AutoConfig.for_model(
            recipe.family, vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **special, **recipe.fields
        )
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise UsageError(f"no {recipe.family} model of that shape: {str(error).splitlines()[0]}") from error
    if not recipe.biases:
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                torch.nn.init.zeros_(parameter)
                parameter.requires_grad_(False)
    return model


def save(model: Any, tokenizer: Any, folder: Path, dtype: str = "float32") -> None:
    """Write an ordinary checkpoint. `dtype` is one of `SAVED_TYPES`; the model in memory is left as it is."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # transformers shows one for every file
    wanted = getattr(torch, dtype)
    state = {name: tensor.to(wanted) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    if wanted != model.dtype:  # what loads the checkpoint in its own type goes by this field
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": dtype}, indent=2) + "\n")
