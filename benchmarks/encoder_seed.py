"""One seed of `python -m benchmarks.encoders`: its start, and arms that all begin with it.

    python -m benchmarks.encoder_seed --out runs/encoders --seed 1

The start is an encoder whose tokens were learnt as bags; its layers are random. Arms see the same batches in the same
order, for as many steps.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.encoder_records import ARMS, EXITS, START, Arm, Plan, Scores
from benchmarks.encoder_sets import Data, Ranked, prepared, ranked
from distill.code_rows import context_rows, pair_rows
from distill.curriculum import Stage
from distill.encoder import load_encoder
from distill.encoder_files import save_encoder
from distill.encoder_input import batches_by_length, packed_texts, padded
from distill.encoder_objectives import Contrast, ContrastSettings, MaskedContext, MaskingSettings, PairedRows
from distill.encoder_settings import PARTS, BagSettings, EncoderStart, EncoderTokenizer, TuneRetrieval
from distill.encoder_start import started
from distill.encoder_training import learn_bags
from distill.objective import Example, Objective
from distill.train_settings import TrainSettings
from distill.training import TrainResult, train
from harness import write_whole

HEADS, DROPOUT = 4, 0.2
CONTEXT = 2  # texts of a row of pretraining
MODULES = "modules"


def main() -> None:
    """Do what of a seed is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all seeds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--arms", default=",".join(ARMS), help="(default: %(default)s)")
    args = parser.parse_args()
    plan = msgspec.json.decode((args.out / "plan.json").read_bytes(), type=Plan)
    seed = OneSeed(args.out / str(args.seed), args.seed, plan, prepared(args.out, plan.pairs, plan.queries))
    for arm in (START, *args.arms.split(",")):
        if not (seed.folder / f"{arm}.json").is_file():
            scores = seed.play(arm)
            write_whole(seed.folder / f"{arm}.json", msgspec.json.format(msgspec.json.encode(scores)))
            print(f"seed {args.seed}: {arm}, {scores.cpu_seconds:.0f} s of CPU", file=sys.stderr, flush=True)


class OneSeed:
    """A seed's folder, and what is done in it."""

    def __init__(self, folder: Path, seed: int, plan: Plan, data: Data) -> None:
        self.folder = folder
        self._seed = seed
        self._plan = plan
        self._data = data
        self._rows: list[PairedRows] = []

    def play(self, arm: str) -> Scores:
        """Make an arm's encoder and measure it."""
        begun = time.process_time()
        if arm == START:
            model, tokenizer = self._make_start()
            done: list[TrainResult] = []
        else:
            model, tokenizer = load_encoder(self.folder / START)
            done = self._trained(model, tokenizer, ARMS[arm])
        spent = time.process_time() - begun
        return Scores(
            exits=self.measured(model, tokenizer, arm in ARMS and ARMS[arm].reads_modules),
            parameters=int(model.num_parameters()),
            steps=sum(one.steps for one in done),
            tokens=sum(one.tokens for one in done),
            cpu_seconds=spent,
        )

    def _make_start(self) -> tuple[Any, Any]:
        config = self._tuning()
        texts = [f"{one.description}\n{one.code}" for one in self._data.train]
        model, tokenizer = started(config.start, texts, self._seed)
        bag = BagSettings(steps=self._plan.bag_steps)
        learn_bags(model, self.rows(tokenizer), bag, config, tokenizer.pad_token_id)
        save_encoder(model, tokenizer, self.folder / START)
        return model, tokenizer

    def _tuning(self) -> TuneRetrieval:
        plan = self._plan
        fields = {
            "hidden_size": plan.hidden_size,
            "intermediate_size": 2 * plan.hidden_size,
            "num_hidden_layers": EXITS[-1],
            "exit_layers": list(EXITS),
            "num_attention_heads": HEADS,
            "num_key_value_heads": HEADS,
            "max_position_embeddings": plan.module_length,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
            "attention_dropout": DROPOUT,
            "residual_dropout": DROPOUT,
            "embedding_dropout": DROPOUT,
            "initializer_range": 0.01,  # so that layers change little of the bags at first
            "embedding_range": 0.3,
            "pooling": "mean",
        }
        return TuneRetrieval(
            start=EncoderStart(tokenizer=EncoderTokenizer(vocabulary=plan.vocabulary, kind=PARTS), fields=fields),
            training=self._training(plan.steps),
            contrast=ContrastSettings(scale=plan.scale, replace=0.0, hard_negatives=True),
        )

    def _training(self, steps: int) -> TrainSettings:
        plan = self._plan
        return TrainSettings(
            steps=steps,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            warmup_steps=0.1,
            seed=self._seed,
        )

    def rows(self, tokenizer: Any) -> list[PairedRows]:
        """Return the training pairs as rows, each with a hard negative where its package has one."""
        if not self._rows:
            draw = random.Random(self._seed)
            self._rows = pair_rows(
                tokenizer, self._data.train, self._plan.max_length, (None, None), True, draw, renamed=False
            )
        return self._rows

    def _trained(self, model: Any, tokenizer: Any, arm: Arm) -> list[TrainResult]:
        done = []
        if arm.context is not None:
            length = CONTEXT * self._plan.max_length
            rows = context_rows(tokenizer, self._data.train, CONTEXT, length, random.Random(self._seed))
            masked = MaskedContext(MaskingSettings(context=arm.context), arm.exits, tokenizer)
            done.append(self._train(model, tokenizer, rows, masked, self._plan.pretraining_steps))
        contrast = msgspec.structs.replace(self._tuning().contrast, divergence=arm.divergence)
        objective = Contrast(contrast, arm.exits)
        return [*done, self._train(model, tokenizer, self.rows(tokenizer), objective, self._plan.steps)]

    def _train(
        self, model: Any, tokenizer: Any, rows: Sequence[Example], objective: Objective, steps: int
    ) -> TrainResult:
        everything = Stage(name="rows", examples=tuple(range(len(rows))), share=1.0, shuffled=True)
        settings = self._training(steps)
        return train(model, rows, (everything,), settings, tokenizer.pad_token_id, None, objective)

    def measured(self, model: Any, tokenizer: Any, reads_modules: bool) -> dict[int, dict[str, Ranked]]:
        """Return what each exit comes to on each set."""
        found: dict[int, dict[str, Ranked]] = {one: {} for one in EXITS}
        for name, one in self._data.sets.items():
            if name == MODULES and not reads_modules:
                continue
            longest = self._plan.module_length if name == MODULES else self._plan.measured_length
            queries, documents = (
                embeddings(model, tokenizer, texts, longest) for texts in (one.queries, one.documents)
            )
            for exit_layer in EXITS:
                found[exit_layer][name] = ranked(queries[exit_layer] @ documents[exit_layer].T, one.right)
        return found


def embeddings(model: Any, tokenizer: Any, texts: Sequence[str], longest: int) -> dict[int, np.ndarray]:
    """Return what `encode` would at each exit, computing each layer once."""
    import torch

    rows = packed_texts(tokenizer, texts, longest)
    found = {one: np.empty((len(texts), model.config.projection_size), np.float32) for one in EXITS}
    model.eval()
    with torch.inference_mode():
        for chosen in batches_by_length(rows, 32):
            vectors = model(**padded([rows[one] for one in chosen], tokenizer.pad_token_id)).exit_vectors
            for place, exit_layer in enumerate(EXITS):
                found[exit_layer][chosen] = model.project(vectors[place], place).numpy()
    return found


if __name__ == "__main__":
    main()
