"""What a run is made with: the record of `run.json`. `harness.records` hands it on."""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.model_options import ModelOptions
from harness.reasoning import ReasoningRule
from harness.scores import TierSource, WeakRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Everything that a run's result depends on, fully resolved, and what it was made with.

    `fingerprint` (harness.fingerprint) covers every field that is not listed in `NOT_FINGERPRINTED`. `sandbox` is empty
    where samples have been written and nothing is judged yet.
    """

    benchmark: str
    dataset_digest: str
    dataset_source: str
    model: str
    model_digest: str  # checkpoint: SHA-256 over its files; samples file: of the file; canonical: of the dataset
    backend: str
    protocol: str
    n_samples: int
    temperature: float
    top_p: float
    max_new_tokens: int
    stop: tuple[str, ...]
    seed: int
    task_ids: tuple[str, ...]
    partial: bool
    sandbox: str
    image_digest: str
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    call_cpu_seconds: float | None
    call_cpu_factor: float | None
    tiers: dict[str, str] = field(default_factory=dict)  # task_id: difficulty tier, also of tasks that were not run
    tiers_digest: str = ""  # of the tiers, where they were given by a file
    tier_source: TierSource = field(default_factory=TierSource)
    weak_rule: WeakRule = field(default_factory=WeakRule)
    weak_rates: dict[str, float] = field(default_factory=dict)  # task_id: the weak rule's baseline's pass rate
    sequential: str = ""  # the rule by which a sequential gate stops the run; empty for a whole run
    time_limit_seconds: float | None = None  # for the answers of the call that wrote last
    runtime: dict[str, str] = field(default_factory=dict)  # how a model ran, e.g. dtype and device
    versions: dict[str, str] = field(default_factory=dict)
    workers: int = 2
    cache: str = ""  # the folder of the verdicts of earlier runs that were taken over; empty without one
    not_promised: tuple[str, ...] = ()
    extraction: str = ""  # the name of the rule that made programs of completions; empty where none did
    origin: str = ""  # the folder of the run that these samples were written in, if another
    rejudged: str = ""  # the protocol, or `extraction` and a rule, by which the origin's samples are judged again
    caveats: tuple[str, ...] = ()  # what the origin's model would have been asked otherwise, or stopped at
    reasoning: ReasoningRule = ReasoningRule.NONE
    max_reasoning_tokens: int | None = None  # on top of max_new_tokens; None: thinking and answer share those
    max_length: int | None = None  # of prompt and max_new_tokens together; None: no such limit
    audited: bool = False  # whether samples that do not pass are judged by the other rules as well
    tokenizer_digest: str = ""  # of the tokenizer's files; empty where nothing here reads prompts
    template_digest: str = ""  # of its chat template; empty without one
    prompts_digest: str = ""  # of prompts.jsonl; empty where no model was asked, or does not say what
    shots_digest: str = ""  # of the file of solved examples that prompts show; empty without one of the user's own
    batch_size: int | None = None  # prompts or requests at once; None where no model wrote
    options: ModelOptions | None = None  # how the model was to be run; None where none wrote, and in earlier versions
