"""What an exit of an encoder costs, as a share of the last one's CPU time: `python -m benchmarks.exits`.

One thread, random weights, 180 pieces of this repository's code of 300 characters each, tokenizing included; the best
of three rounds. Needs code-harness[retrieval].
"""

from __future__ import annotations

import time
from pathlib import Path

SHAPES = ((64, 192, 6, (1, 2, 3, 4, 6)), (256, 1024, 8, (1, 2, 4, 6, 8)))  # hidden, intermediate, layers, exits
PIECES, CHARACTERS, TOKENS, ROUNDS = 180, 300, 128, 3


def main() -> None:
    import torch

    from distill.encoder import MultiExitEncoder, MultiExitEncoderConfig
    from distill.encoder_input import with_special_tokens
    from distill.scratch import bpe_tokenizer

    torch.set_num_threads(1)
    source = "".join(path.read_text(encoding="utf-8") for path in sorted(Path("distill").glob("*.py")))
    pieces = [source[start : start + CHARACTERS] for start in range(0, PIECES * CHARACTERS, CHARACTERS)]
    tokenizer = with_special_tokens(bpe_tokenizer(pieces, 1024))
    for hidden, intermediate, layers, exits in SHAPES:
        config = MultiExitEncoderConfig(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=intermediate,
            num_hidden_layers=layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            exit_layers=exits,
            max_position_embeddings=TOKENS,
            pad_token_id=tokenizer.pad_token_id,
        )
        model = MultiExitEncoder(config)
        seconds = dict.fromkeys(exits, float("inf"))
        for exit_layer in list(exits) * ROUNDS:
            started = time.process_time()
            model.encode(pieces, tokenizer=tokenizer, exit=exit_layer)
            seconds[exit_layer] = min(seconds[exit_layer], time.process_time() - started)
        shares = ", ".join(f"{one}: {seconds[one] / seconds[layers]:.2f}" for one in exits)
        print(f"{layers} layers of {hidden} ({model.num_parameters():,} parameters): {shares}")


if __name__ == "__main__":
    main()
