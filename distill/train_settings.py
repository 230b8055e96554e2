"""How to train: the settings of every training here, by the names of transformers' TrainingArguments and of PEFT."""

from __future__ import annotations

import math

import msgspec

SCHEDULES = ("linear", "cosine", "constant", "paper")
DTYPES = ("float32", "bfloat16")
ALL_LINEAR = "all-linear"  # PEFT's word for every linear layer but the output's


class LoraSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Low-rank adapters (LoRA, arXiv 2106.09685): weights W + alpha/r B A, of which A and B alone are trained.

    `target_modules` are names of layers, as PEFT takes them. Defaults are PEFT's, but for the layers.
    """

    r: int = 8
    alpha: int = 8
    dropout: float = 0.0
    target_modules: str | tuple[str, ...] = ALL_LINEAR

    def __post_init__(self) -> None:
        if min(self.r, self.alpha) < 1 or not 0 <= self.dropout < 1:
            raise ValueError("r and alpha are at least 1, and dropout is a share below 1")
        if not self.target_modules:
            raise ValueError(f"target_modules: {ALL_LINEAR}, or names of layers")


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to train, for `steps` optimizer steps of all stages together or for `epochs` over the rows: one of the two.

    A step takes `gradient_accumulation_steps` times `batch_size` examples, with the gradient of one batch of them all.
    A `warmup_steps` below 1 is a share of a stage's steps. `window` None takes one row an example; with a window, the
    rows of a stage are one stream, and an example is a random window of so many tokens of it. Rows of more than
    `max_length` tokens are left out and counted, never cut. `seed` None is 0, and in a loop the round's own.

    `dtype` is the type of the weights and of what the optimizer keeps of them. `bf16` computes in bfloat16 whatever
    that type is, and `gradient_checkpointing` computes a layer's values again for its gradient instead of keeping them.
    With `lora`, adapters are trained in the place of the weights and then merged into them.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 16
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-3
    lr_schedule: str = "linear"
    warmup_steps: float = 0
    weight_decay: float = 0.01  # PyTorch's own
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    max_grad_norm: float = 1.0
    seed: int | None = None
    window: int | None = None
    max_length: int | None = None
    save_steps: int = 500
    dtype: str = "float32"
    bf16: bool = False
    gradient_checkpointing: bool = False
    lora: LoraSettings | None = None

    def __post_init__(self) -> None:
        if self.lr_schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule {self.lr_schedule!r}: one of {', '.join(SCHEDULES)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype {self.dtype!r}: one of {', '.join(DTYPES)}")
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("a training is as long as either steps or epochs say: give one of the two")
        counts = (self.steps, self.batch_size, self.gradient_accumulation_steps, self.save_steps)
        if any(count is not None and count < 1 for count in counts) or self.learning_rate <= 0:
            raise ValueError(
                "steps, batch_size, gradient_accumulation_steps and save_steps are at least 1, and learning_rate is "
                "above 0"
            )
        if (self.epochs is not None and self.epochs <= 0) or self.warmup_steps < 0:
            raise ValueError("epochs is above 0, and warmup_steps at least 0")
        if self.lr_schedule == "paper" and self.warmup_steps:
            raise ValueError("lr_schedule paper begins at its full rate: leave warmup_steps out")
        if min(self.weight_decay, self.max_grad_norm) < 0:
            raise ValueError("weight_decay and max_grad_norm are at least 0")
        if not 0 <= (self.seed or 0) < 2**32:
            raise ValueError(f"seed {self.seed}: at least 0 and below 2**32")
        if not all(0 <= beta < 1 for beta in (self.adam_beta1, self.adam_beta2)):
            raise ValueError("adam_beta1 and adam_beta2 are at least 0 and below 1")
        if any(length is not None and length < 2 for length in (self.window, self.max_length)):
            raise ValueError(f"window {self.window}, max_length {self.max_length}: at least 2 tokens")
        if self.window is not None and (self.epochs is not None or self.max_length is not None):
            raise ValueError("random windows are cut from rows of any length: give steps, and no max_length")

    @property
    def first_seed(self) -> int:
        """The seed of the first stage, and of what else is drawn."""
        return self.seed or 0

    @property
    def examples_per_step(self) -> int:
        """How many examples an optimizer step sees."""
        return self.batch_size * self.gradient_accumulation_steps

    def steps_for(self, rows: int) -> int:
        """Return the optimizer steps of a training on so many rows."""
        if self.steps is not None:
            return self.steps
        return max(1, math.ceil((self.epochs or 0) * rows / self.examples_per_step))

    def warmup_of(self, steps: int) -> int:
        """Return the steps of a stage of `steps` in which the learning rate rises."""
        return math.ceil(self.warmup_steps * steps) if self.warmup_steps < 1 else int(self.warmup_steps)
