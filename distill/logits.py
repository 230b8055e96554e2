"""Learning the teacher's probabilities beside its answers (logit distillation), where both models have the same tokens.

    L = (1 - w) L_sl + w D        D = T^2 sum_t w_t KL(p_teacher(. | y_<t) || p_student(. | y_<t)) / sum_t w_t

with both distributions softened by the temperature T (Hinton et al., arXiv 1503.02531), w the `weight`, and w_t what a
token counts in the supervised loss L_sl. As a sum it is L_sl + w D; and with the divergences of a text added up instead
of averaged, as in ETK's code (arXiv 2211.16740: CE + KLDivLoss(batchmean), T = 1), L_sl + w D' with

    D' = T^2 (sum_t w_t KL_t) / rows

With the teacher's own prompt it reads that in the place of the student's, so that it is asked as it was when it wrote.
Its probabilities are those of the answer's tokens then, which are the same behind either prompt: the prompt's tokens,
and the one that ends a text, are learnt from the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec

from distill.rows import prompt_tokens, rows_of
from distill.training import Row, collate, weighted_loss
from harness import UsageError, find_checkpoint, load_weights

_NAMED = re.compile(r"<\|?[\w ]+\|?>")


class LogitForm(StrEnum):
    """How the two losses are joined: see above."""

    MIXTURE = "mixture"
    SUM = "sum"
    SUM_BY_TEXT = "sum-by-text"


class LogitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the loss the teacher's probabilities are, at which temperature, and behind whose prompt they are."""

    weight: float = 0.5
    temperature: float = 1.0
    form: LogitForm = LogitForm.MIXTURE
    teacher_prompt: bool = False

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.temperature <= 0:
            raise ValueError("weight and temperature are above 0")
        if self.form is LogitForm.MIXTURE and self.weight > 1:
            raise ValueError("weight is a share of the loss, at most 1; form: sum takes more")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtRow:
    """A row with what the teacher reads in its place: another prompt, of `shown` tokens, and the same answer.

    `prompt` is how many tokens the row's own has.
    """

    row: Row
    prompt: int
    taught: tuple[int, ...]
    shown: int

    def __post_init__(self) -> None:
        if self.row.tokens[self.prompt :] != self.taught[self.shown :]:
            raise UsageError("the teacher's text has another answer than the student's")

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.row.tokens

    @property
    def length(self) -> int:
        return self.row.length


def taught_rows(
    tokenizer: Any, texts: Sequence[tuple[str, str, str]], prompt_weight: float, context: int | None
) -> list[TaughtRow]:
    """Return a row for each student's prompt, teacher's prompt and answer.

    Raises UsageError for a teacher's prompt that its `context` (tokens; None: no bound) does not hold with the answer.
    """
    prompts, shown, answers = map(list, zip(*texts, strict=True))
    rows = rows_of(tokenizer, zip(prompts, answers, strict=True), prompt_weight)
    taught = rows_of(tokenizer, zip(shown, answers, strict=True))
    longest = max(one.length for one in taught)
    if context is not None and longest > context:
        raise UsageError(
            f"a teacher's prompt with its answer has {longest} tokens, and its context {context}: show it fewer solved "
            "questions (teacher.shots), or leave logits.teacher_prompt out"
        )
    lengths = [[len(tokens) for tokens in prompt_tokens(tokenizer, texts)] for texts in (prompts, shown)]
    return [
        TaughtRow(row=row, prompt=own, taught=other.tokens, shown=theirs)
        for row, other, own, theirs in zip(rows, taught, *lengths, strict=True)
    ]


def see_that_tokens_agree(student: str, teacher: str) -> None:
    """Raise UsageError unless both models' tokenizers turn the same texts into the same tokens, by their vocabularies.

    Loads the tokenizers alone. A teacher may have more tokens, as GPT-J has beside GPT-Neo, where they are names in
    angle brackets: no text is made of these.
    """
    from transformers import AutoTokenizer

    ours, theirs = (
        AutoTokenizer.from_pretrained(str(find_checkpoint(name).folder)).get_vocab() for name in (student, teacher)
    )
    more = [token for token in theirs if token not in ours]
    different = sum(theirs.get(token) != number for token, number in ours.items())
    if not different and all(_NAMED.fullmatch(token) and theirs[token] >= len(ours) for token in more):
        return
    raise UsageError(
        f"{student} has {len(ours)} tokens and {teacher} {len(theirs)}, and {different} of the first are not the same "
        "in the second: only a student with the same tokenizer can learn a teacher's probabilities; leave `logits` out "
        "to learn from its answers"
    )


def teacher_of(name: str, device: str) -> Any:
    """Return the teacher's model on a device, with nothing to train in it."""
    loaded = load_weights(str(find_checkpoint(name).folder), name, dtype="float32", device=device, trust=False)
    return loaded.model.eval().requires_grad_(False)


def context_of(model: Any) -> int | None:
    """Return how many tokens a model's context holds, None where its configuration does not say."""
    return getattr(model.config.get_text_config(), "max_position_embeddings", None)


def softened_divergence(
    student_BTV: Any, teacher_BTV: Any, weights_BT: Any, temperature: float, by_text: bool = False
) -> Any:
    """Return T^2 times the weighted mean over targets of KL(teacher || student), in nats; zero where nothing counts.

    Logits are rows x tokens x vocabulary; a row's first token is no target. The longer vocabulary's last entries, which
    stand for no token, are left out. With `by_text`, the weighted sum of each row, and the mean over rows.
    """
    import torch

    size = min(student_BTV.shape[-1], teacher_BTV.shape[-1])
    ours, theirs = (
        torch.log_softmax(logits[:, :-1, :size].float() / temperature, -1) for logits in (student_BTV, teacher_BTV)
    )
    each = (theirs.exp() * (theirs - ours)).sum(-1)
    counted = weights_BT[:, 1:]
    whole = len(counted) if by_text else counted.sum().clamp(min=torch.finfo(counted.dtype).tiny)
    return temperature**2 * (each * counted).sum() / whole


def behind_prompt(logits_BTV: Any, prompts: Sequence[int], shown: Sequence[int], width: int) -> Any:
    """Return the logits of texts as if each stood behind a prompt of another length: rows x `width` x vocabulary.

    In row b, what was predicted from token shown[b] - 1 + i stands at prompts[b] - 1 + i. Before that are zeros.
    """
    moved = logits_BTV.new_zeros(len(prompts), width, logits_BTV.shape[-1])
    for row, (own, theirs) in enumerate(zip(prompts, shown, strict=True)):
        count = min(width - own, logits_BTV.shape[1] - theirs) + 1
        moved[row, own - 1 : own - 1 + count] = logits_BTV[row, theirs - 1 : theirs - 1 + count]
    return moved


class LogitObjective:
    """The objective of rows with a teacher at hand. Measures: `loss/supervised` and `loss/divergence`, T^2 included."""

    def __init__(self, teacher: Any, settings: LogitSettings) -> None:
        self._teacher = teacher
        self._settings = settings
        self._noted: dict[str, list[float]] = {}

    def tokens_seen(self, example: Row | TaughtRow) -> int:
        return len(example.tokens)

    def collate(self, examples: Sequence[Row | TaughtRow], pad: int) -> dict[str, Any]:
        """Return a batch of rows; of taught ones, with what the teacher reads, and where prompts and answers end."""
        import torch

        taught = [one for one in examples if isinstance(one, TaughtRow)]
        batch = collate([one.row if isinstance(one, TaughtRow) else one for one in examples], pad)
        if not taught:
            return batch
        read = collate([Row(tokens=one.taught) for one in taught], pad)
        answers = torch.zeros(batch["weights"].shape)
        for place, one in enumerate(taught):
            answers[place, one.prompt : len(one.tokens) - 1] = 1
        ends = torch.tensor([(one.prompt, one.shown) for one in taught])
        return batch | {
            "taught_ids": read["input_ids"],
            "taught_mask": read["attention_mask"],
            "taught_weights": answers,
            "ends": ends,
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        """Return the loss of a batch, in nats."""
        settings = self._settings
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits = model(**inputs, use_cache=False).logits
        wanted, weights = self._wanted(batch)
        supervised = weighted_loss(logits, batch["input_ids"], batch["weights"]) * batch.get("share", 1.0)
        by_text = settings.form is LogitForm.SUM_BY_TEXT
        divergence = softened_divergence(logits, wanted, weights, settings.temperature, by_text)
        if not by_text:  # Trainer takes the mean over a step's batches, of which texts count the same
            divergence = divergence * batch.get("taught_share", batch.get("share", 1.0))
        for name, value in (("loss/supervised", supervised), ("loss/divergence", divergence)):
            self._noted.setdefault(name, []).append(value.detach().item())
        own = 1 - settings.weight if settings.form is LogitForm.MIXTURE else 1.0
        return own * supervised + settings.weight * divergence

    def _wanted(self, batch: dict[str, Any]) -> tuple[Any, Any]:
        """Return the teacher's logits at the places of the student's, and what each of these counts."""
        import torch

        with torch.no_grad():
            if "taught_ids" not in batch:
                inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
                return self._teacher(**inputs, use_cache=False).logits, batch["weights"]
            read = {"input_ids": batch["taught_ids"], "attention_mask": batch["taught_mask"]}
            logits = self._teacher(**read, use_cache=False).logits
            own, theirs = batch["ends"].T.tolist()
            return behind_prompt(logits, own, theirs, batch["input_ids"].shape[1]), batch["taught_weights"]

    def measures(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._noted.items()}
        self._noted.clear()
        return means
