"""The records of scores and counts: an estimate, a tier's and a half's score, where tiers come from, tokens, losses.

`harness.records` hands on those that reports have always had.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % interval, all in 0..1."""

    value: float
    low: float
    high: float


class TierKind(StrEnum):
    """What the tiers of a benchmark's tasks come from."""

    STATIC = "static"  # the difficulty metric over the reference solutions
    OWN = "own"  # the benchmark was made in tiers
    RUNS = "runs"  # pass rates of earlier runs
    RATINGS = "ratings"  # a teacher's own rating
    PREDICTED = "predicted"  # by an encoder that has learnt other tasks' tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSource:
    """What tiers come from: the kind, its parameters in words, and the SHA-256 of what the tiers were made from.

    The digest is the dataset's for `static` and `own`, the model's for `predicted`, that of the counts or ratings used
    for the others; it is empty in runs from before tiers could be chosen.
    """

    kind: TierKind = TierKind.STATIC
    settings: dict[str, str] = field(default_factory=dict)
    digest: str = ""


class WeakKind(StrEnum):
    """When a tier is weak: what its 95 % interval must lie wholly below."""

    BELOW_OVERALL = "below_overall"  # the pass rate of all tasks
    BELOW_TARGET = "below_target"  # a pass rate given
    BELOW_BASELINE = "below_baseline"  # zero, the interval being that of the paired difference to another run


@dataclass(frozen=True, slots=True, kw_only=True)
class WeakRule:
    """The rule that calls a tier weak. `target` (0..1) belongs to `below_target`, the rest to `below_baseline`.

    `baseline` names the baseline's model, `digest` is the SHA-256 of its pass rates.
    """

    kind: WeakKind = WeakKind.BELOW_OVERALL
    target: float | None = None
    baseline: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfScore:
    """pass@1 of the tasks of one half; `weak` says whether this half alone is weak by the report's rule."""

    tasks: int
    pass_at_1: Estimate
    weak: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TierScore:
    """pass@1 of the tasks of one difficulty tier, and of its two halves (None: no judged task in it)."""

    tier: str
    tasks: int
    pass_at_1: Estimate
    weak: bool
    tune: HalfScore | None = None
    held_back: HalfScore | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """How long one exit of a model takes, in seconds of the clock on the wall: medians over so many timed passes.

    A query is read and held against so many `documents`, and a document is made ready to be found, in batches of
    `batch_size`; `queries` and `documents` are how many were timed in a pass.
    """

    exit: int
    seconds_per_query: float
    seconds_per_document: float
    queries: int
    documents: int
    passes: int
    batch_size: int
    threads: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetScore:
    """How a model fared on one set of queries or pairs, by the name of each measure."""

    name: str
    queries: int
    metrics: dict[str, Estimate]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitScore:
    """How one exit of an encoder fared on each set, and how long it takes (None: not measured).

    An exit is the number of layers that are computed; 0 is a ranking without layers.
    """

    exit: int
    sets: tuple[SetScore, ...]
    latency: Latency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Token counts of a run; zero where the samples came from a file. Of `completion`, `reasoning` are thinking.

    `scored` are the tokens, `scored_characters` the characters, of the texts that "token_accuracy" is over.
    """

    prompt: int = 0
    completion: int = 0
    reasoning: int = 0
    scored: int = 0
    scored_characters: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionLoss:
    """The samples that did not pass, and would by another extraction rule: how many, and how many by each rule.

    `not_judged` programs of such rules are the machine's failure: they are judged when the run goes on.
    """

    samples: int = 0
    by_rule: dict[str, int] = field(default_factory=dict)
    not_judged: int = 0
