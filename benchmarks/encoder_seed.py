"""One seed of `python -m benchmarks.encoders`: its start, and arms that all begin with it.

    python -m benchmarks.encoder_seed --out runs/encoders --seed 1

The start is an encoder whose tokens were learnt as bags; its layers are random. Arms see the same batches of pairs in
the same order, for as many steps. Some are pretrained before, or trained on modules behind, and then asked for these
alone.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.encoder_records import MODULES, START, STEPS, Arm, Plan, Scores, arms_of, asked_for
from benchmarks.encoder_sets import Data, Ranked, library_data, prepared, ranked
from benchmarks.encoder_steps import ordered_data
from distill.code_data import Snippet
from distill.code_rows import context_rows, pair_rows
from distill.curriculum import Stage
from distill.encoder import load_encoder
from distill.encoder_files import save_encoder
from distill.encoder_input import batches_by_length, packed_texts, padded
from distill.encoder_objectives import Contrast, ContrastSettings, MaskedContext, MaskingSettings, PairedRows
from distill.encoder_settings import BagSettings, EncoderStart, EncoderTokenizer, TuneRetrieval
from distill.encoder_start import started
from distill.encoder_training import learn_bags
from distill.objective import Example, Objective
from distill.train_settings import TrainSettings
from distill.training import TrainResult, train
from harness import write_whole

HEADS = 4


def main() -> None:
    """Do what of a seed is not done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of all seeds")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--arms", help="(default: all)")
    args = parser.parse_args()
    plan = msgspec.json.decode((args.out / "plan.json").read_bytes(), type=Plan)
    seed = OneSeed(args.out / str(args.seed), args.seed, plan, data_of(args.out, plan))
    for arm in (START, *(args.arms.split(",") if args.arms else arms_of(plan))):
        if not (seed.folder / f"{arm}.json").is_file():
            scores = seed.play(arm)
            write_whole(seed.folder / f"{arm}.json", msgspec.json.format(msgspec.json.encode(scores)))
            print(f"seed {args.seed}: {arm}, {scores.cpu_seconds:.0f} s of CPU", file=sys.stderr, flush=True)


def data_of(out: Path, plan: Plan) -> Data:
    """Return the data that a plan says, which all of its seeds share."""
    return prepared(out, partial(ordered_data if plan.world == STEPS else library_data, plan.pairs, plan.queries))


class OneSeed:
    """A seed's folder, and what is done in it."""

    def __init__(self, folder: Path, seed: int, plan: Plan, data: Data) -> None:
        self.folder = folder
        self._seed = seed
        self._plan = plan
        self._data = data
        self._arms = arms_of(plan)
        self._rows: list[PairedRows] = []

    def play(self, arm: str) -> Scores:
        """Make an arm's encoder and measure it."""
        begun = time.process_time()
        if arm == START:
            model, tokenizer = self._make_start()
            done: list[TrainResult] = []
        else:
            model, tokenizer = load_encoder(self.folder / START)
            done = self._trained(model, tokenizer, self._arms[arm])
        spent = time.process_time() - begun
        return Scores(
            exits=self.measured(model, tokenizer, self._arms.get(arm)),
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
            "intermediate_size": plan.intermediate_size,
            "num_hidden_layers": plan.exits[-1],
            "exit_layers": list(plan.exits),
            "num_attention_heads": HEADS,
            "num_key_value_heads": plan.key_value_heads,
            "max_position_embeddings": plan.module_length,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
            "attention_dropout": plan.dropout,
            "residual_dropout": plan.dropout,
            "embedding_dropout": plan.dropout,
            "initializer_range": plan.initializer_range,
            "embedding_range": plan.embedding_range,
            "pooling": "mean",
        }
        return TuneRetrieval(
            start=EncoderStart(tokenizer=EncoderTokenizer(vocabulary=plan.vocabulary, kind=plan.tokens), fields=fields),
            training=self._training(plan.steps, plan.batch_size),
            contrast=ContrastSettings(scale=plan.scale, replace=0.0, hard_negatives=self._data.group == 1),
        )

    def _training(self, steps: int, batch_size: int) -> TrainSettings:
        plan = self._plan
        return TrainSettings(
            steps=steps,
            batch_size=batch_size,
            learning_rate=plan.learning_rate,
            warmup_steps=0.1,
            seed=self._seed,
        )

    def rows(self, tokenizer: Any) -> list[PairedRows]:
        """Return the training pairs as rows; without groups, each has a hard negative where its package has one."""
        if not self._rows:
            self._rows = self._paired(tokenizer, self._data.train, self._plan.max_length)
        return self._rows

    def _paired(self, tokenizer: Any, snippets: Sequence[Snippet], longest: int) -> list[PairedRows]:
        alone = self._data.group == 1
        return pair_rows(tokenizer, snippets, longest, (None, None), alone, random.Random(self._seed), renamed=False)

    def _trained(self, model: Any, tokenizer: Any, arm: Arm) -> list[TrainResult]:
        done = []
        if arm.context is not None:
            texts = self._plan.pretraining_texts
            length = texts * self._plan.max_length
            rows = context_rows(tokenizer, self._data.train, texts, length, random.Random(self._seed))
            masked = MaskedContext(MaskingSettings(context=arm.context), arm.exits, tokenizer)
            done.append(self._train(model, tokenizer, rows, masked, self._plan.pretraining_steps))
        done.append(self._tuned(model, tokenizer, self.rows(tokenizer), arm, self._plan.steps))
        if arm.reads_modules and self._plan.module_steps:
            rows = self._paired(tokenizer, self._data.modules, self._plan.module_length)
            done.append(self._tuned(model, tokenizer, rows, arm, self._plan.module_steps))
        return done

    def _tuned(self, model: Any, tokenizer: Any, rows: Sequence[PairedRows], arm: Arm, steps: int) -> TrainResult:
        alike = self._data.group
        groups = [Group(tuple(rows[place : place + alike])) for place in range(0, len(rows), alike)]
        contrast = msgspec.structs.replace(self._tuning().contrast, divergence=arm.divergence)
        return self._train(model, tokenizer, groups, GroupedContrast(contrast, arm.exits), steps, alike)

    def _train(
        self,
        model: Any,
        tokenizer: Any,
        rows: Sequence[Example],
        objective: Objective,
        steps: int,
        texts: int = 1,
    ) -> TrainResult:
        """Train on rows, each of which has so many `texts` of a batch."""
        everything = Stage(name="rows", examples=tuple(range(len(rows))), share=1.0, shuffled=True)
        settings = self._training(steps, self._plan.batch_size // texts)
        return train(model, rows, (everything,), settings, tokenizer.pad_token_id, None, objective)

    def measured(self, model: Any, tokenizer: Any, arm: Arm | None) -> dict[int, dict[str, Ranked]]:
        """Return what each exit comes to on each set."""
        exits = self._plan.exits
        found: dict[int, dict[str, Ranked]] = {one: {} for one in exits}
        only = arm.exits.only if arm is not None else None
        for name in asked_for(self._plan, arm, self._data.sets):
            one = self._data.sets[name]
            longest = self._plan.module_length if name == MODULES else self._plan.measured_length
            queries, documents = (
                embeddings(model, tokenizer, texts, longest, only) for texts in (one.queries, one.documents)
            )
            for exit_layer in exits:
                found[exit_layer][name] = ranked(queries[exit_layer] @ documents[exit_layer].T, one.right)
        return found


@dataclass(frozen=True, slots=True)
class Group:
    """Pairs that share a batch, since their codes are hard to tell apart."""

    pairs: tuple[PairedRows, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        """All tokens of all pairs."""
        return tuple(chain.from_iterable(one.tokens for one in self.pairs))

    @property
    def length(self) -> int:
        """How many tokens the longest side of a pair has."""
        return max(one.length for one in self.pairs)


class GroupedContrast(Contrast):
    """The contrast of all pairs of a batch's groups."""

    def collate(self, examples: Sequence[Any], pad: int) -> dict[str, Any]:
        """Return the batch of all pairs."""
        return super().collate([pair for group in examples for pair in group.pairs], pad)


def embeddings(
    model: Any, tokenizer: Any, texts: Sequence[str], longest: int, trained: int | None = None
) -> dict[int, np.ndarray]:
    """Return what `encode` would at each exit, computing each layer once.

    Where one exit alone was `trained`, all are seen through its projection, since the others' know nothing.
    """
    import torch

    rows = packed_texts(tokenizer, texts, longest)
    exits = model.config.exit_layers
    found = {one: np.empty((len(texts), model.config.projection_size), np.float32) for one in exits}
    model.eval()
    with torch.inference_mode():
        for chosen in batches_by_length(rows, 32):
            vectors = model(**padded([rows[one] for one in chosen], tokenizer.pad_token_id)).exit_vectors
            for place, exit_layer in enumerate(exits):
                through = place if trained is None else model.exit_place(trained)
                found[exit_layer][chosen] = model.project(vectors[place], through).numpy()
    return found


if __name__ == "__main__":
    main()
