"""Learning the teacher's probabilities beside its answers (logit distillation), where both models have the same tokens.

    L = (1 - w) L_sl + w T^2 sum_t w_t KL(p_teacher(. | y_<t) || p_student(. | y_<t)) / sum_t w_t

with both distributions softened by the temperature T (Hinton et al., arXiv 1503.02531), w the `weight`, and w_t what a
token counts in the supervised loss L_sl.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from distill.training import Row, collate, weighted_loss
from harness import UsageError, find_checkpoint, load_weights


class LogitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the loss the teacher's probabilities are, and at which temperature."""

    weight: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1 or self.temperature <= 0:
            raise ValueError("weight is above 0 and at most 1, temperature above 0")


def see_that_tokens_agree(student: str, teacher: str) -> None:
    """Raise UsageError unless both models' tokenizers turn the same texts into the same tokens, by their vocabularies.

    Loads the tokenizers alone.
    """
    from transformers import AutoTokenizer

    ours, theirs = (
        AutoTokenizer.from_pretrained(str(find_checkpoint(name).folder)).get_vocab() for name in (student, teacher)
    )
    if ours == theirs:
        return
    different = sum(theirs.get(token) != number for token, number in ours.items())
    raise UsageError(
        f"{student} has {len(ours)} tokens and {teacher} {len(theirs)}, and {different} of the first are not the same "
        "in the second: only a student with the same tokenizer can learn a teacher's probabilities; leave `logits` out "
        "to learn from its answers"
    )


def teacher_of(name: str, device: str) -> Any:
    """Return the teacher's model on a device, with nothing to train in it."""
    loaded = load_weights(str(find_checkpoint(name).folder), name, dtype="float32", device=device, trust=False)
    return loaded.model.eval().requires_grad_(False)


def softened_divergence(student_BTV: Any, teacher_BTV: Any, weights_BT: Any, temperature: float) -> Any:
    """Return T^2 times the weighted mean over targets of KL(teacher || student), in nats; zero where nothing counts.

    Logits are rows x tokens x vocabulary; a row's first token is no target. The longer vocabulary's last entries, which
    stand for no token, are left out.
    """
    import torch

    size = min(student_BTV.shape[-1], teacher_BTV.shape[-1])
    ours, theirs = (
        torch.log_softmax(logits[:, :-1, :size].float() / temperature, -1) for logits in (student_BTV, teacher_BTV)
    )
    each = (theirs.exp() * (theirs - ours)).sum(-1)
    counted = weights_BT[:, 1:]
    mean = (each * counted).sum() / counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)
    return temperature**2 * mean


class LogitObjective:
    """The objective of rows with a teacher at hand. Measures: `loss/supervised` and `loss/divergence`, T^2 included."""

    def __init__(self, teacher: Any, settings: LogitSettings) -> None:
        self._teacher = teacher
        self._settings = settings
        self._noted: dict[str, list[float]] = {}

    def tokens_seen(self, example: Row) -> int:
        return len(example.tokens)

    def collate(self, examples: Sequence[Row], pad: int) -> dict[str, Any]:
        return collate(examples, pad)

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        """Return the loss of a batch, in nats."""
        import torch

        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits = model(**inputs, use_cache=False).logits
        with torch.no_grad():
            wanted = self._teacher(**inputs, use_cache=False).logits
        of_step = batch.get("share", 1.0)
        supervised = weighted_loss(logits, batch["input_ids"], batch["weights"]) * of_step
        divergence = softened_divergence(logits, wanted, batch["weights"], self._settings.temperature) * of_step
        for name, value in (("loss/supervised", supervised), ("loss/divergence", divergence)):
            self._noted.setdefault(name, []).append(value.detach().item())
        share = self._settings.weight
        return (1 - share) * supervised + share * divergence

    def measures(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._noted.items()}
        self._noted.clear()
        return means
