"""What `python -m benchmarks.encoders` plans, and what one seed leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from benchmarks.encoder_sets import Ranked
from distill.encoder_objectives import ExitSettings

EXITS = (1, 2, 4)
START, FULL = "start", f"single-{EXITS[-1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """How a seed's start is trained. `context` is the weight of L_ICC in a pretraining before (None: there is none).

    Arms of a `group` are played when all seeds have the groups before. Long documents take time: `reads_modules`.
    """

    learnt: str
    group: int
    exits: ExitSettings = field(default_factory=ExitSettings)
    divergence: float = 0.0
    context: float | None = None
    reads_modules: bool = False


ARMS = {
    "joint": Arm(group=0, learnt="all exits, the loss of exit i weighs i/L", reads_modules=True),
    **{
        f"single-{one}": Arm(group=0, learnt=f"exit {one} alone, no layer behind it", exits=ExitSettings(only=one))
        for one in EXITS
    },
    "joint-mlm": Arm(group=1, learnt="masked tokens first, then as joint", context=0.0, reads_modules=True),
    "joint-mlm-context": Arm(
        group=1, learnt="masked tokens and contexts first, then as joint", context=1.0, reads_modules=True
    ),
    "joint-equal": Arm(group=2, learnt="all exits, each loss weighs 1", exits=ExitSettings(weights="equal")),
    "joint-kl": Arm(group=2, learnt="as joint, inner exits pulled to the last by KL", divergence=1.0),
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What all seeds share: how much data, how large, and how long (steps, examples a step, tokens of a text)."""

    pairs: int = 32_000
    queries: int = 800
    hidden_size: int = 128
    vocabulary: int = 8192
    bag_steps: int = 250
    steps: int = 60
    pretraining_steps: int = 60
    batch_size: int = 64
    learning_rate: float = 5e-4
    scale: float = 20.0
    max_length: int = 64
    measured_length: int = 128
    module_length: int = 512


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What the exits of an encoder come to on each set, and what its trainings took (CPU seconds, all together)."""

    exits: dict[int, dict[str, Ranked]]
    parameters: int
    steps: int
    tokens: int
    cpu_seconds: float
