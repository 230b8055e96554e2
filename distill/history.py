"""What a loop's rounds measured: pass@1 of the held-back halves, as the runs' reports have it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from distill.loop import status_of
from harness import Estimate, HalfScore, Report, UsageError, load_run

STUDENT, CANDIDATE = "student", "candidate"  # the run folders of a round
BEFORE = "before the first round"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldBackScore:
    """pass@1 of a tier's held-back tasks (of all tasks': `tier` is empty), with its 95 % interval, in 0..1."""

    tier: str
    tasks: int
    pass_at_1: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundScores:
    """A decided round: its candidate's scores, none where nothing was trained. Round 0 is the first student.

    `weak` are the tiers that it was to be better in, `reason` says why it was kept or not.
    """

    round: int
    kept: bool
    reason: str
    weak: tuple[str, ...] = ()
    tiers: tuple[HeldBackScore, ...] = ()
    overall: HeldBackScore | None = None


def history_of(out: Path) -> list[RoundScores]:
    """Return the first student and the decided rounds of a loop's folder.

    Raises UsageError for a folder without a loop, and for a loop that has evaluated nothing yet.
    """
    rounds = [(status, decision) for status in status_of(out) if (decision := status.decision) is not None]
    if not rounds:
        raise UsageError(f"{out} has no round that is decided: let `harness distill run` go on until there is one")
    history = [_scores(_report(out, 1, STUDENT), round_number=0, kept=True, reason=BEFORE)]
    for status, decision in rounds:
        trained = any(stage.stage == CANDIDATE for stage in status.stages)
        report = _report(out, status.round, CANDIDATE) if trained else None
        history.append(_scores(report, status.round, decision.kept, decision.reason, decision.weak))
    return history


def _report(out: Path, round_number: int, name: str) -> Report:
    return load_run(out / "rounds" / f"{round_number:02}" / name).report


def _scores(
    report: Report | None, round_number: int, kept: bool, reason: str, weak: tuple[str, ...] = ()
) -> RoundScores:
    tiers = [(tier.tier, tier.held_back) for tier in report.tiers] if report else []
    return RoundScores(
        round=round_number,
        kept=kept,
        reason=reason,
        weak=weak,
        tiers=tuple(_score(tier, half) for tier, half in tiers if half is not None),
        overall=_score("", report.held_back) if report and report.held_back else None,
    )


def _score(tier: str, half: HalfScore) -> HeldBackScore:
    return HeldBackScore(tier=tier, tasks=half.tasks, pass_at_1=half.pass_at_1)
