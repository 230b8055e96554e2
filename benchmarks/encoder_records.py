"""What `python -m benchmarks.encoders` plans, and what one seed leaves behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from benchmarks.encoder_sets import Ranked
from distill.encoder_objectives import ExitSettings
from distill.encoder_settings import BYTES, PARTS

LIBRARY, STEPS = "library", "steps"
START, MODULES = "start", "modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """How a seed's start is trained. `context` is the weight of L_ICC in a pretraining before (None: there is none).

    Arms of a `group` are played when all seeds have the groups before. Long documents take time: `reads_modules`,
    which are trained on last where the world has some to train on.
    """

    learnt: str
    group: int
    exits: ExitSettings = field(default_factory=ExitSettings)
    divergence: float = 0.0
    context: float | None = None
    reads_modules: bool = False


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What all seeds share: which data, how large, and how long (steps, examples a step, tokens of a text).

    The defaults are those of `LIBRARY`.
    """

    world: str = LIBRARY
    pairs: int = 32_000
    queries: int = 800
    exits: tuple[int, ...] = (1, 2, 4)
    hidden_size: int = 128
    intermediate_size: int = 256
    key_value_heads: int = 4
    dropout: float = 0.2
    embedding_range: float = 0.3
    initializer_range: float = 0.01  # so that layers change little of the bags at first
    tokens: str = PARTS
    vocabulary: int = 8192
    bag_steps: int = 250
    steps: int = 60
    pretraining_steps: int = 60
    pretraining_texts: int = 2
    module_steps: int = 0
    batch_size: int = 64
    learning_rate: float = 5e-4
    scale: float = 20.0
    max_length: int = 64
    measured_length: int = 128
    module_length: int = 512


PLANS = {
    LIBRARY: Plan(),
    STEPS: Plan(
        world=STEPS,
        pairs=16_000,
        queries=600,
        exits=(1, 2, 4, 6),
        intermediate_size=384,
        key_value_heads=2,
        dropout=0.0,
        embedding_range=0.1,
        initializer_range=0.02,
        tokens=BYTES,
        vocabulary=512,
        bag_steps=50,
        steps=400,
        pretraining_steps=150,
        pretraining_texts=3,
        module_steps=150,
        learning_rate=2e-3,
        max_length=80,
        module_length=256,
    ),
}


def arms_of(plan: Plan) -> dict[str, Arm]:
    """Return the arms of a plan, by name. Where modules are trained on, an arm without pretraining learns them, too."""
    long = bool(plan.module_steps)
    joint = "all exits, the loss of exit i weighs i/L"
    return {
        "joint": Arm(group=0, learnt=joint, reads_modules=not long),
        **{
            single(one): Arm(group=0, learnt=f"exit {one} alone, no layer behind it", exits=ExitSettings(only=one))
            for one in plan.exits
        },
        **({"joint-modules": Arm(group=1, learnt=joint, reads_modules=True)} if long else {}),
        "joint-mlm": Arm(group=1, learnt="masked tokens first, then as joint", context=0.0, reads_modules=True),
        "joint-mlm-context": Arm(
            group=1, learnt="masked tokens and contexts first, then as joint", context=1.0, reads_modules=True
        ),
        "joint-equal": Arm(group=2, learnt="all exits, each loss weighs 1", exits=ExitSettings(weights="equal")),
        "joint-kl": Arm(group=2, learnt="as joint, inner exits pulled to the last by KL", divergence=1.0),
    }


def asked_for(plan: Plan, arm: Arm | None, sets: Iterable[str]) -> list[str]:
    """Return the sets that an arm, or the start (None), is asked for; what trained on modules last, for them alone."""
    reads = arm is not None and arm.reads_modules
    return [name for name in sets if (reads if name == MODULES else not (reads and plan.module_steps))]


def single(exit_layer: int) -> str:
    """Return the name of the arm that is trained for one exit alone."""
    return f"single-{exit_layer}"


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """What the exits of an encoder come to on each set, and what its trainings took (CPU seconds, all together)."""

    exits: dict[int, dict[str, Ranked]]
    parameters: int
    steps: int
    tokens: int
    cpu_seconds: float
