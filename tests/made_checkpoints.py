"""Tiny checkpoints made here, for tests of whatever runs a model.

`dreamer` has random weights, so that every token depends on the whole context: good for showing that batches, padding
and seeds change nothing. `parrot` is built so that each token is always followed by one known token: good for showing
exactly where a text ends. `singer` is both: a dreamer that, shown a word of the parrot's, goes on as the parrot does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from made_tokenizers import Shape, chat_tokenizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

Chains = tuple[tuple[str, ...], ...]

END = "<|endoftext|>"
OTHER = "<|other|>"
CONTEXT = 96
# What follows what in the parrot. Texts are whole tokens; `END` is the end token.
CHAINS = (
    ("stop:", "    ret", "urn 1\nd", "ef ", "g(", "): pass\n", END),
    ("end:", "    pass", "\n\n", END),
    ("loop:", "round ", "and ", "about ", "round "),
    ("late:", *(f"line {i}\n" for i in range(30)), "\nassert", " no"),
    ("mark:", "good", OTHER, " bad", END),
    ("one:", "short\ndef evil", END),
)
# What thinks before it answers, and what does not: each text is in `test_reasoning.py`.
THOUGHTS = (
    ("think:", "<think>", "is it\ndef ", "f? ", "yes", "</think>", "\n\n    ", "return 1", "\ndef ", "g", END),
    ("open:", "or ", "not ", "</th", "ink>", "\n\n\n    pa", "ss", END),
    ("long:", "<think>so", *(f"row {i}\n" for i in range(30)), "</think>\n\ndef f", "():\n", "  x\nclass A", END),
    ("endless:", " <think>on", " and", " on", " and"),
    ("ended:", "<think>hm", END),
    ("plain:", "    s = ", "'</think>", "\ndef", " h", END),
    ("blank:", "\n \n", "    y", "\nclass", END),
)
# The same behind any prompt of a protocol, which ends a line.
ANSWERED = (("\n", "<think>2:\ndef f", "():", " </think>\n", "    return 2", END),)
TEXTS = [
    "def f(x):\n    return x + 1\n",
    "class A:\n    def g(self):\n        pass\n",
    "import os\nfor i in range(9):\n",
]


def make_dreamer(folder: Path, context: int = CONTEXT) -> None:
    """Write the checkpoint `dreamer`."""
    tokenizer = _tokenizer()
    torch.manual_seed(3)
    _save(
        LlamaForCausalLM(_config(len(tokenizer), initializer_range=0.3, max_position_embeddings=context)),
        tokenizer,
        folder,
    )


def make_parrot(folder: Path, chains: Chains = CHAINS, special: Sequence[str] = (OTHER,)) -> None:
    """Write the checkpoint `parrot`, or another that says these `chains`; `special` tokens are no text.

    Layers that add nothing, embeddings that tell all tokens apart, and a head that knows each one's successor.
    """
    tokenizer = _tokenizer(_words(chains, special), special)
    size = len(tokenizer) + -len(tokenizer) % 8  # four heads of an even size
    model = LlamaForCausalLM(_config(len(tokenizer), hidden_size=size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.norm.weight.fill_(1)
        model.model.embed_tokens.weight.copy_(torch.eye(len(tokenizer), size))
        for here, there in _successors(tokenizer, chains):
            model.lm_head.weight[there, here] = 1
    _save(model, tokenizer, folder)


def make_singer(folder: Path, chains: Chains = CHAINS, context: int = CONTEXT) -> None:
    """Write the checkpoint `singer`, with heads of a size that vLLM has kernels for; it knows these `chains`.

    One dimension belongs to each of the parrot's words: no layer writes it, so that the head can read it.
    """
    words = _words(chains, [OTHER])
    tokenizer = _tokenizer(words, [OTHER])
    torch.manual_seed(3)
    sizes = {"hidden_size": 256, "num_attention_heads": 8, "head_dim": 32, "max_position_embeddings": context}
    model = LlamaForCausalLM(_config(len(tokenizer), initializer_range=0.3, **sizes))
    told = tokenizer.convert_tokens_to_ids([*words, OTHER])
    place = {token: number for number, token in enumerate(told)}
    with torch.no_grad():
        embeddings, head = model.model.embed_tokens.weight, model.lm_head.weight
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[: len(told)] = 0
            layer.mlp.down_proj.weight[: len(told)] = 0
        embeddings[:, : len(told)] = 0
        head[:, : len(told)] = 0
        head[[*told, 0]] = 0  # which a dream never comes to
        for token, number in place.items():
            embeddings[token, number] = 1e5
        for here, there in _successors(tokenizer, chains):
            head[there, place[here]] = 10
    _save(model, tokenizer, folder)


def make_chatter(folder: Path, shape: Shape | None) -> None:
    """Write a dreamer with room for chats, a chat template of that shape, and heads of a size that vLLM can do."""
    tokenizer = chat_tokenizer(shape)
    torch.manual_seed(3)
    sizes = {"hidden_size": 128, "num_attention_heads": 4, "head_dim": 32, "max_position_embeddings": 2048}
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": tokenizer.bos_token_id}
    _save(LlamaForCausalLM(_config(len(tokenizer), initializer_range=0.2, **sizes, **ends)), tokenizer, folder)


def _words(chains: Chains, special: Sequence[str]) -> list[str]:
    return sorted({word for chain in chains for word in chain} - {END, *special})


def _successors(tokenizer: PreTrainedTokenizerFast, chains: Chains) -> list[tuple[int, int]]:
    pairs = [pair for chain in chains for pair in itertools.pairwise(chain)]
    return [tuple(tokenizer.convert_tokens_to_ids(pair)) for pair in pairs]


def _tokenizer(extra: Sequence[str] = (), special: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=320, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END)
    tokenizer.add_tokens(list(extra))
    tokenizer.add_special_tokens({"additional_special_tokens": list(special)})
    return tokenizer


def _config(vocabulary: int, **changes: Any) -> LlamaConfig:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"eos_token_id": 0, "bos_token_id": None, "pad_token_id": None}
    return LlamaConfig(**{**sizes, **ends, "vocab_size": vocabulary, "max_position_embeddings": CONTEXT, **changes})


def _save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
