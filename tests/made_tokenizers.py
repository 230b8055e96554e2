"""Tokenizers of published classes, small and made by hand."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Any

END = "<|endoftext|>"
TEXTS = (
    "def f(x):\n    return x + 1\n",
    "class A:\n    def g(self):\n        pass\n",
    "Please write the code:\n```python\n",
)
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


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A chat template as published ones are, with the control tokens that it writes.

    With `bos`, the tokenizer puts that before every text, too, so that templates that write it could come to two.
    """

    template: str
    control: tuple[str, ...]
    bos: str | None = None


SHAPES = {
    "chatml": Shape(
        template="{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        control=("<|im_start|>", "<|im_end|>"),
    ),
    "llama-3": Shape(
        template="{% for m in messages %}{{ (bos_token if loop.first else '') + '<|start_header_id|>' + m.role + "
        "'<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        control=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        bos="<|begin_of_text|>",
    ),
    "mistral": Shape(  # it ends no prompt of its own, trims, and knows no system
        template="{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content | trim + "
        "' [/INST]' }}{% elif m.role == 'assistant' %}{{ ' ' + m.content | trim + eos_token }}{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
        control=("[INST]", "[/INST]"),
        bos="<s>",
    ),
}


def chat_tokenizer(shape: Shape | None) -> Any:
    """Return a tokenizer of bytes and some words of code, with the chat template and control tokens of a shape."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    control = [END, *(shape.control if shape else ()), *([shape.bos] if shape and shape.bos else [])]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=340, special_tokens=control, initial_alphabet=alphabet, show_progress=False),
    )
    if shape is None or shape.bos is None:
        return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=END, chat_template=shape and shape.template)
    bos = (shape.bos, raw.token_to_id(shape.bos))
    raw.post_processor = processors.TemplateProcessing(single=f"{shape.bos} $A", special_tokens=[bos])
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=END, bos_token=shape.bos, chat_template=shape.template
    )
