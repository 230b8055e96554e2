"""What a training minimises, and transformers' Trainer made to minimise it.

The seam between the training core, which knows stages and checkpoints, and losses that need more than rows of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

_PAPER_MILESTONES = (0.7, 0.8, 0.9)  # of a stage's steps, each times 0.1: arXiv 2407.10194's code
_TRAINERS_OWN = frozenset({"loss", "grad_norm", "learning_rate", "epoch", "step"})


class Example(Protocol):
    """What batches are made of: a row, or what an objective takes for one. Batches are drawn by the length of `tokens`.

    `length` is how many tokens its longest side has, if there are several.
    """

    @property
    def tokens(self) -> tuple[int, ...]: ...

    @property
    def length(self) -> int: ...


class Objective(Protocol):
    """What is minimised: batches from examples, a loss from a batch, and what is measured on the way.

    `distill.training.Supervised` is that of rows, `distill.pairs.PairObjective` that of correct and faulty answers.
    """

    def tokens_seen(self, example: Any) -> int:
        """Return how many tokens of an example go through the model."""

    def collate(self, examples: Sequence[Any], pad: int) -> dict[str, Any]:
        """Return a batch, tensors by name, with `input_ids` and `weights` (those of targets) among them."""

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        """Return the loss of a batch, in nats. Means by `weights` are multiplied by `share`, where a batch has one."""

    def measures(self) -> dict[str, float]:
        """Return means by name over the batches since this was last asked; they are logged beside the loss."""


def measures_of(logged: Mapping[str, float]) -> dict[str, float]:
    """Return what an objective measured, of all that the Trainer logged at a step."""
    return {name: value for name, value in logged.items() if name not in _TRAINERS_OWN}


def with_shares(batches: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the batches of one optimizer step, each with what its mean by `weights` counts among theirs, as `share`.

    Trainer takes the mean of the batches' losses; times these shares, it is that of one batch of all examples. A batch
    that is alone has none. A mean by `taught_weights`, which batches may have, has its `taught_share`.
    """
    if len(batches) < 2:
        return batches
    for name, share in (("weights", "share"), ("taught_weights", "taught_share")):
        if all(name in batch for batch in batches):
            weights = [batch[name][:, 1:].sum() for batch in batches]
            mean = sum(weights) / len(weights)
            shares = [weight / mean if mean else weight for weight in weights]
            batches = [batch | {share: one} for batch, one in zip(batches, shares, strict=True)]
    return batches


def trainer_class(lr_schedule: str, objective: Objective) -> Callable[..., Any]:
    """Return the Trainer with an objective's loss and, for `paper`, its schedule (transformers has no steps down)."""
    import torch
    from transformers import Trainer

    class ObjectiveTrainer(Trainer):
        lr_scheduler: Any

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **_: Any) -> Any:
            loss = objective.loss(model, inputs)
            return (loss, None) if return_outputs else loss

        def get_batch_samples(self, *arguments: Any) -> Any:
            batches, items = super().get_batch_samples(*arguments)
            return with_shares(batches), items

        def log(self, logs: dict[str, float], *arguments: Any, **options: Any) -> None:
            super().log({**logs, **objective.measures()} if "loss" in logs else logs, *arguments, **options)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            if lr_schedule != "paper":
                return super().create_scheduler(num_training_steps, optimizer)
            if self.lr_scheduler is None:
                milestones = [int(share * num_training_steps) for share in _PAPER_MILESTONES]
                self.lr_scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer or self.optimizer, milestones, 0.1)
            return self.lr_scheduler

    return ObjectiveTrainer
