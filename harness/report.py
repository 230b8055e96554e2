"""Verdicts -> Report: counts per outcome that add up, pass@k with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness import metrics
from harness.answers import answer
from harness.records import (
    Benchmark,
    Estimate,
    ExtractionLoss,
    Outcome,
    Report,
    RunConfig,
    Sample,
    StopReason,
    Tokens,
    Verdict,
)
from harness.retrieval.tally import corpora_of, exit_scores, run_metrics
from harness.scores import Latency
from harness.tokens import TokenScore, accuracy
from harness.weak import score_tiers

KS = (1, 10, 100)


@dataclass(slots=True)
class Tally:
    """Counts while samples and verdicts come in; holds a few numbers per task, and no sample or verdict.

    `prompts` are those of the tasks: a program that is nothing else has no code of the model's.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    judged: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    base_passed: dict[str, int] = field(default_factory=dict)
    exact_passed: dict[str, int] = field(default_factory=dict)
    similarities: dict[str, float] = field(default_factory=dict)  # edit similarity, added up per task
    token_scores: list[TokenScore] = field(default_factory=list)
    exits: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)  # measures of tasks and exits
    latencies: list[Latency] = field(default_factory=list)
    seconds: float = 0.0
    flaky: int = 0
    reused: int = 0
    hardcoded: int = 0
    base_only: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    truncated_completions: int = 0
    no_room: int = 0
    no_code: int = 0
    extraction_loss: ExtractionLoss | None = None

    @property
    def samples(self) -> int:
        return sum(self.outcomes.values())

    @property
    def not_judged(self) -> int:
        return self.outcomes[Outcome.NOT_JUDGED]

    def add_sample(self, sample: Sample) -> None:
        self.prompt_tokens += sample.prompt_tokens or 0
        self.completion_tokens += sample.completion_tokens or 0
        self.reasoning_tokens += sample.reasoning_tokens or 0
        self.truncated_completions += sample.stop_reason is StopReason.LENGTH
        self.no_room += sample.stop_reason is StopReason.LENGTH and sample.completion_tokens == 0
        program = sample.program.strip()
        is_empty = not program or program == self.prompts.get(sample.task_id, "").strip()
        self.no_code += is_empty or not answer(sample).strip()

    def add_verdict(self, verdict: Verdict) -> None:
        """Count one verdict. `not_judged` counts as an outcome and in no score."""
        self.outcomes[verdict.outcome] += 1
        self.flaky += verdict.flaky
        self.reused += verdict.reused
        self.hardcoded += verdict.hardcoded
        self.base_only += bool(verdict.base_passed) and not verdict.passed
        self.seconds += 0.0 if verdict.reused else verdict.wall_seconds
        if verdict.outcome is Outcome.NOT_JUDGED:
            return
        task = verdict.task_id
        self.judged[task] = self.judged.get(task, 0) + 1
        self.passed[task] = self.passed.get(task, 0) + verdict.passed
        self.base_passed[task] = self.base_passed.get(task, 0) + bool(verdict.base_passed)
        if verdict.exact_passed is not None:
            self.exact_passed[task] = self.exact_passed.get(task, 0) + verdict.exact_passed
        if verdict.exits is not None:
            self.exits[task] = verdict.exits
        if verdict.evidence.edit_similarity is not None:
            self.similarities[task] = self.similarities.get(task, 0.0) + verdict.evidence.edit_similarity

    def add_token_score(self, score: TokenScore) -> None:
        """Count how well the model predicts the text of one task."""
        self.token_scores.append(score)

    def metrics(self) -> dict[str, Estimate]:
        """Return what was measured beside passing, over the tasks that have it."""
        found: dict[str, Estimate] = {}
        if self.similarities:
            means = [min(total / self.judged[task], 1.0) for task, total in self.similarities.items()]
            found["edit_similarity"] = metrics.estimate(means)
        exact = {task: (self.judged[task], passed) for task, passed in self.exact_passed.items()}
        found |= {f"exact_pass@{k}": one for k, one in metrics.pass_at_ks(exact, KS).items()}
        if (token_accuracy := accuracy(self.token_scores)) is not None:
            found["token_accuracy"] = token_accuracy
        return found

    def tokens(self) -> Tokens:
        """Return the token counts of the run."""
        return Tokens(
            prompt=self.prompt_tokens,
            completion=self.completion_tokens,
            reasoning=self.reasoning_tokens,
            scored=sum(score.tokens for score in self.token_scores),
            scored_characters=sum(score.characters for score in self.token_scores),
        )

    def pass_rate(self) -> float | None:
        """Return the share of judged samples that passed, or None before the first."""
        judged = sum(self.judged.values())
        return sum(self.passed.values()) / judged if judged else None


def _cost(tokens: Tokens, config: RunConfig) -> float | None:
    """Return what a run's tokens cost; None where nobody said what they do."""
    if config.options is None or config.options.price is None:
        return None
    prompt, completion = config.options.price
    return (tokens.prompt * prompt + tokens.completion * completion) / 1e6


def build_report(
    tally: Tally,
    config: RunConfig,
    benchmark: Benchmark,
    fingerprint: str,
    missing: tuple[str, ...],
    stopped_early: bool = False,
) -> Report:
    """Return the report of a run. `seconds` is the wall time that the judged programs took, all added up."""
    counts = {task: (judged, tally.passed[task]) for task, judged in tally.judged.items()}
    base = {task: (judged, tally.base_passed[task]) for task, judged in tally.judged.items()}
    scores = score_tiers(config.tiers, counts, config.weak_rule, config.weak_rates)
    return Report(
        benchmark=benchmark.name,
        protocol=config.protocol,
        model=config.model,
        tasks=len(config.task_ids),
        samples=tally.samples,
        outcomes={outcome.value: count for outcome, count in tally.outcomes.items()},
        pass_at_k=metrics.pass_at_ks(counts, KS),
        base_pass_at_k=metrics.pass_at_ks(base, KS) if benchmark.is_plus else None,
        tiers=scores.tiers,
        tokens=tally.tokens(),
        seconds=round(tally.seconds, 3),
        sandbox=config.sandbox,
        fingerprint=fingerprint,
        not_promised=config.not_promised,
        missing_tasks=missing,
        flaky=tally.flaky,
        reused=tally.reused,
        hardcoded=tally.hardcoded,
        base_only=tally.base_only,
        stopped_early=stopped_early,
        truncated_completions=tally.truncated_completions,
        no_room=tally.no_room,
        no_code=tally.no_code,
        extraction_loss=tally.extraction_loss,
        caveats=config.caveats,
        cost=_cost(tally.tokens(), config),
        metrics=tally.metrics() | run_metrics(tally.exits, config.runtime.get("exit")),
        exits=exit_scores(tally.exits, corpora_of(benchmark), tally.latencies),
        tune=scores.tune,
        held_back=scores.held_back,
        tier_source=config.tier_source,
        weak_rule=config.weak_rule,
    )
