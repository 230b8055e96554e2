"""What the multi-exit encoder's trainings minimise, for the one training loop there is (`distill.training`).

Which tokens are masked and which names are replaced is drawn from torch's own generator as a batch is learnt, so a
killed training goes on with what it would have drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from distill import encoder_losses as losses
from distill.encoder_input import padded

_PAIRED = 2  # rows of a pair, each of which counts as one target where several batches make a step
WEIGHTS = ("depth", "equal")
DIVERGENCE_TEMPERATURE = 0.3


class ExitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which exits learn, and what each one's loss weighs: i/L by its depth, or 1.

    With `only`, one exit learns at weight 1, and no layer behind it: a model trained for that exit alone.
    """

    only: int | None = None
    weights: str = "depth"

    def __post_init__(self) -> None:
        if self.weights not in WEIGHTS:
            raise ValueError(f"weights {self.weights!r}: {' or '.join(WEIGHTS)}")
        if self.only is not None and self.weights != WEIGHTS[0]:
            raise ValueError("a single exit's loss weighs 1 anyway: leave weights out, or only")


class MaskingSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What pretraining is made of: each token is masked with probability `rate`; `context` weighs L_ICC beside L_MLM.

    All masked tokens become `<mask>` (Wettig et al., arXiv 2202.08005, found no gain in BERT's other two fates). The
    paper's rate was not found.
    """

    rate: float = 0.3
    context: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1 or self.context < 0:
            raise ValueError("rate is a share above 0 and below 1, context at least 0")


class ContrastSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How queries and codes are told to meet: InfoNCE at a logit scale, within batches.

    `replace` is how likely a code shows its version with other names. The paper has neither of the others:
    with `hard_negatives`, each query has a wrong code of its package beside those of its batch, and `divergence` weighs
    a KL divergence of each inner exit from the last one (see `encoder_losses.divergence`).
    """

    scale: float = 10.0
    replace: float = 0.3
    hard_negatives: bool = False
    divergence: float = 0.0
    divergence_temperature: float = DIVERGENCE_TEMPERATURE

    def __post_init__(self) -> None:
        if self.scale <= 0 or not 0 <= self.replace <= 1 or self.divergence < 0 or self.divergence_temperature <= 0:
            raise ValueError(
                "scale and divergence_temperature are above 0, replace is a share, and divergence at least 0"
            )
        if not self.divergence and self.divergence_temperature != DIVERGENCE_TEMPERATURE:
            raise ValueError("divergence_temperature changes nothing without divergence: leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledRow:
    """A packed row with a label: 1 for texts of one repository, or the class. None: it has none."""

    tokens: tuple[int, ...]
    label: int | None

    @property
    def length(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRows:
    """A query and what it asks for, packed; `altered` is that with other names, or the same again.

    `wrong` is other code that is hard to tell from it (empty: none is at hand).
    """

    query: tuple[int, ...]
    code: tuple[int, ...]
    altered: tuple[int, ...]
    wrong: tuple[int, ...] = ()

    @property
    def tokens(self) -> tuple[int, ...]:
        return self.query + self.code + self.wrong

    @property
    def length(self) -> int:
        return max(map(len, (self.query, self.code, self.altered, self.wrong)))


class _ExitObjective:
    """What the objectives share: the exits that learn with their weights, and means of what each exit's loss was."""

    def __init__(self, exits: ExitSettings) -> None:
        self._exits = exits
        self._noted: dict[str, list[float]] = defaultdict(list)

    def tokens_seen(self, example: Any) -> int:
        return len(example.tokens)

    def measures(self) -> dict[str, float]:
        means = {name: sum(values) / len(values) for name, values in self._noted.items()}
        self._noted.clear()
        return means

    def _weights(self, model: Any) -> dict[int, float]:
        """Return what the loss of each exit that learns weighs, by its place. Raises UsageError for no exit."""
        if self._exits.only is not None:
            return {model.exit_place(self._exits.only): 1.0}
        exits = model.config.exit_layers
        return dict(enumerate(losses.depth_weights(exits) if self._exits.weights == "depth" else (1.0,) * len(exits)))

    def _note(self, name: str, model: Any, place: int, value: Any) -> None:
        self._noted[f"{name}/{model.config.exit_layers[place]}"].append(float(value.detach()))


class MaskedContext(_ExitObjective):
    """Masked tokens, and whether a row's texts are of one repository. Measures by exit: `tokens`, `context`."""

    def __init__(self, settings: MaskingSettings, exits: ExitSettings, tokenizer: Any) -> None:
        super().__init__(exits)
        self._settings = settings
        self._mask = tokenizer.mask_token_id
        self._kept = (tokenizer.sep_token_id, tokenizer.cls_token_id)

    def collate(self, examples: Sequence[LabelledRow], pad: int) -> dict[str, Any]:
        """Return a batch; `weights` marks what may be masked, and `same` has the labels where they count."""
        import torch

        batch = padded([one.tokens for one in examples], pad)
        batch["weights"] = batch["attention_mask"].float()
        for token in self._kept:
            batch["weights"][batch["input_ids"] == token] = 0
        labels = [one.label for one in examples]
        return batch | ({"same": torch.tensor(labels)} if self._settings.context else {})

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        import torch

        tokens = batch["input_ids"]
        masked = torch.rand(tokens.shape, device=tokens.device) < self._settings.rate * batch["weights"]
        outputs = model(tokens.masked_fill(masked, self._mask), batch["attention_mask"], self._exits.only)
        total = 0.0
        for place, weight in self._weights(model).items():
            guessed = losses.masked_tokens(
                model.token_logits(outputs.exit_states[place][masked], place), tokens[masked]
            )
            self._note("tokens", model, place, guessed)
            each = guessed * batch.get("share", 1.0)
            if self._settings.context:
                context = losses.classified(model.context_logits(outputs.exit_vectors[place], place), batch["same"])
                self._note("context", model, place, context)
                each = each + self._settings.context * context
            total = total + weight * each
        return total


class Contrast(_ExitObjective):
    """Queries and codes that belong together, against all others of a batch. Measures by exit: `contrast`, and

    `found`, the share of queries whose own code is the nearest of the batch; `divergence` where it counts.
    """

    def __init__(self, settings: ContrastSettings, exits: ExitSettings) -> None:
        super().__init__(exits)
        self._settings = settings

    def collate(self, examples: Sequence[PairedRows], pad: int) -> dict[str, Any]:
        """Return a batch of codes; `query_*`, `altered_*` and, where there are any, `wrong_*` stand beside them.

        Rows count alike.
        """
        import torch

        count = len(examples)
        codes = padded([*(one.code for one in examples), *(one.altered for one in examples)], pad)
        queries = padded([one.query for one in examples], pad)
        wrong = [one.wrong for one in examples if one.wrong]
        hard = padded(wrong, pad) if wrong else {}
        return {f"wrong_{name.split('_')[-1]}": tensor for name, tensor in hard.items()} | {
            "input_ids": codes["input_ids"][:count],
            "attention_mask": codes["attention_mask"][:count],
            "altered_ids": codes["input_ids"][count:],
            "altered_mask": codes["attention_mask"][count:],
            "query_ids": queries["input_ids"],
            "query_mask": queries["attention_mask"],
            "weights": torch.ones(count, _PAIRED),
        }

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        import torch

        ids, mask = batch["input_ids"], batch["attention_mask"]
        altered = torch.rand((len(ids), 1), device=ids.device) < self._settings.replace
        ids, mask = ids.where(~altered, batch["altered_ids"]), mask.where(~altered, batch["altered_mask"])
        weights = self._weights(model)
        queries = self._embeddings(model, batch["query_ids"], batch["query_mask"], weights)
        codes = self._embeddings(model, ids, mask, weights)
        wrong = (
            self._embeddings(model, batch["wrong_ids"], batch["wrong_mask"], weights) if "wrong_ids" in batch else {}
        )
        last = max(weights)
        total = 0.0
        for place, weight in weights.items():
            each = losses.contrastive(queries[place], codes[place], self._settings.scale, wrong.get(place))
            self._note("contrast", model, place, each)
            nearest = (queries[place] @ codes[place].T).argmax(-1)
            self._note("found", model, place, (nearest == torch.arange(len(nearest), device=ids.device)).float().mean())
            total = total + weight * each
            if self._settings.divergence and place != last:
                apart = [
                    losses.divergence(side[place], side[last], self._settings.divergence_temperature)
                    for side in (queries, codes)
                ]
                self._note("divergence", model, place, sum(apart) / _PAIRED)
                total = total + self._settings.divergence * sum(apart) / _PAIRED
        return total

    def _embeddings(self, model: Any, ids: Any, mask: Any, places: Any) -> dict[int, Any]:
        vectors = model(ids, mask, self._exits.only).exit_vectors
        return {place: model.project(vectors[place], place) for place in places}


class Bags(Contrast):
    """Queries and codes as bags of tokens: the means of their embeddings, which no layer sees. Measures as exit 0."""

    def _weights(self, model: Any) -> dict[int, float]:
        return {0: 1.0}

    def _embeddings(self, model: Any, ids: Any, mask: Any, places: Any) -> dict[int, Any]:
        import torch

        counted = mask[:, :, None].to(model.dtype)
        means = (model.embed_tokens(ids) * counted).sum(1) / counted.sum(1)
        return {place: torch.nn.functional.normalize(means.float(), dim=-1) for place in places}


class Classes(_ExitObjective):
    """The class of each row. Measures by exit: `classes` (the loss) and `right` (a share)."""

    def collate(self, examples: Sequence[LabelledRow], pad: int) -> dict[str, Any]:
        """Return a batch; rows count alike."""
        import torch

        batch = padded([one.tokens for one in examples], pad)
        labels = torch.tensor([one.label for one in examples])
        return batch | {"classes": labels, "weights": torch.ones(len(examples), _PAIRED)}

    def loss(self, model: Any, batch: dict[str, Any]) -> Any:
        vectors = model(batch["input_ids"], batch["attention_mask"], self._exits.only).exit_vectors
        total = 0.0
        for place, weight in self._weights(model).items():
            scores = model.class_logits(vectors[place], place)
            each = losses.classified(scores, batch["classes"])
            self._note("classes", model, place, each)
            self._note("right", model, place, (scores.argmax(-1) == batch["classes"]).float().mean())
            total = total + weight * each
        return total
