"""The order that a curriculum promises is the order that the optimizer gets, through transformers' own Trainer."""

from __future__ import annotations

import os
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("torch")
    pytest.importorskip("transformers")

from distill.curriculum import Graded, Schedule, Strategy, draws, levels_by_rank, plan
from distill.training import Row, Supervised, TrainSettings, steps_of, train

pytestmark = pytest.mark.hf

EXAMPLES = 30
ROWS = [Row(tokens=(place,) * (2 + place % 3)) for place in range(EXAMPLES)]  # a row's first token says which it is
DIFFICULTIES = [float((7 * place) % EXAMPLES) for place in range(EXAMPLES)]
GRADED = Graded(
    difficulties=DIFFICULTIES,
    levels=levels_by_rank(DIFFICULTIES),
    categories=["a" if place < 11 else "b" for place in range(EXAMPLES)],
)


class Noting(Supervised):
    """The loss of rows, which notes what every optimizer step gets."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        self.batches.append(batch["input_ids"][:, 0].tolist())
        return super().loss(model, batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", Strategy)
def test_batches_arrive_in_the_promised_order(name: Strategy) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    shape = {"n_embd": 4, "n_layer": 1, "n_head": 1, "n_positions": 8, "bos_token_id": None, "eos_token_id": None}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=EXAMPLES, **shape))
    stages = plan(Schedule(strategy=name), GRADED, seed=3)
    settings = TrainSettings(steps=24, batch_size=5, seed=11)
    noting = Noting()
    train(model, ROWS, stages, settings, pad=0, objective=noting)

    promised: list[int] = []
    lengths = [len(row.tokens) for row in ROWS]
    for number, (stage, steps) in enumerate(zip(stages, steps_of(stages, 24), strict=True)):
        drawn = draws(stage, lengths, 5, steps, seed=11 + number)
        assert set(drawn) <= set(stage.examples)
        promised += drawn
    assert noting.batches == [promised[start : start + 5] for start in range(0, 24 * 5, 5)]
    if name is Strategy.ORDERED:
        seen = [DIFFICULTIES[one] for batch in noting.batches for one in batch[:1]]
        assert seen == sorted(seen)
    if name is Strategy.SEQUENTIAL:
        levels = [GRADED.levels[one] for batch in noting.batches for one in batch]
        assert levels == sorted(levels)
