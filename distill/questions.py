"""Questions to make lessons of: which ones, and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

import msgspec

from distill.created import CreatedConfig
from distill.drawing import Drawing, Supplied, everything, supplied
from distill.lessons import LeakageError
from distill.question_sources import GENERATORS, LADDER, LISTS, TASK_FILES, is_source, listed
from distill.seeds import LevelWeights, SeedQuestion, Wanted, dealt, random_tiers, wanted_by_levels, wanted_of_tiers
from distill.seeds import QuestionsBy as QuestionsBy
from distill.semantics import SemanticRules
from harness import Leak, Task, find_leaks

_PROBES = 80  # the first part of the probes: no plan of questions has so many
_PROBED = 0.5  # the share of a file's questions that probes may take


class Draw(StrEnum):
    """Which questions a round asks beside the rounds before: others, as far as there are any, or what is unsolved.

    `unsolved` are those of the first round's questions of which no round has made a lesson yet.
    """

    NEW = "new"
    UNSOLVED = "unsolved"


class QuestionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which questions: `source` is one of `distill.question_sources`, by name, or a task file.

    `count` questions a round (`all`: those that a list or file has), chosen by `feedback`; `draw` says which of them
    after the first round. By weak tiers, and with a random tier in their place, the share
    `replay` of them is of the other tiers, so that those are not forgotten; otherwise `replay` says nothing. By levels,
    `weights` say how often the like of a seed question is asked, and the share `widen` is of other kinds than easy
    seeds are. The lines of a file have the fields `tier` and `"split": "train"` beside their format's, and may have
    `family`, which is the kind. `apart_from` names benchmarks that nothing is learnt of either, beside the measured
    tasks: those of which figures are to be published. With `fail_on_leak` a lesson that gives a test away ends the
    round; otherwise it is left out and counted. `semantic` compares lessons by their meaning as well.

    With `created` the teacher writes the questions, from seeds: the probes of `source`, by their levels. `count` is
    then the most that it is asked for.
    """

    source: str = LADDER
    count: int | Literal["all"] = 4000
    feedback: QuestionsBy = QuestionsBy.WEAK_TIERS
    draw: Draw = Draw.NEW
    apart_from: tuple[str, ...] = ()
    replay: float = 0.25
    weights: LevelWeights = LevelWeights()
    widen: float = 1 / 6
    fail_on_leak: bool = False
    semantic: SemanticRules | None = None
    created: CreatedConfig | None = None

    def __post_init__(self) -> None:
        if not is_source(self.source):
            names = ", ".join((*GENERATORS, *LISTS))
            raise ValueError(f"source {self.source!r}: one of {names}, or a task file ({', '.join(TASK_FILES)})")
        if isinstance(self.count, str) and (self.feedback is not QuestionsBy.NONE or self.source in GENERATORS):
            raise ValueError("count: all asks the whole of a list or file: give questions.feedback: none")
        if (isinstance(self.count, int) and self.count < 1) or not 0 <= self.replay < 1 or not 0 <= self.widen <= 1:
            raise ValueError("count is at least 1, replay a share below 1, and widen a share")
        if self.draw is Draw.UNSOLVED and self.feedback is not QuestionsBy.NONE:
            raise ValueError("draw: unsolved asks the first round's questions again: give questions.feedback: none")
        if self.created and self.feedback is not QuestionsBy.LEVELS:
            raise ValueError("questions are created by the levels of seeds: give questions.feedback: levels")

    @property
    def most(self) -> int | None:
        """How many questions there are at most; None where all are asked that there are."""
        return None if isinstance(self.count, str) else self.count


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The questions of a round, and the leaks for which others were left out.

    `families` has the kind of each question where kinds matter. `known` counts those that were left out because they
    are among the texts to keep away from. `plan` is what was asked for, and `found` how many there are for each part.
    """

    tasks: tuple[Task, ...]
    leaks: tuple[Leak, ...]
    families: Mapping[str, str] = field(default_factory=dict)
    known: int = 0
    plan: tuple[Wanted, ...] = ()
    found: tuple[int, ...] = ()

    @property
    def missing(self) -> int:
        """How many questions fewer there are than were asked for."""
        return sum(part.count for part in self.plan) - sum(self.found)

    def shortfall(self) -> str:
        """Say which parts of the plan fell short."""
        short = [(part, found) for part, found in zip(self.plan, self.found, strict=True) if found < part.count]
        return ", ".join(f"{' '.join((part.tier, *part.families))}: {found} of {part.count}" for part, found in short)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Prompts that a student has met: this round's `probes` are no questions, and those `asked` in the rounds before
    are asked again only where a file has no other for that part of the plan.
    """

    probes: Container[str] = ()
    asked: Container[str] = ()


def choose(
    config: QuestionsConfig,
    weak: Sequence[str],
    other: Sequence[str],
    tests: Sequence[Task],
    seed: int,
    seeds: Sequence[SeedQuestion] = (),
    met: Met | None = None,
) -> Chosen:
    """Return the questions of a round, none of which gives a test away.

    Raises UsageError when a file has none for a tier that is asked for, LeakageError when a question is a test by its
    id.
    """
    met = met or Met()
    if isinstance(config.count, str):
        plan, found = everything(config.source)
        return _chosen(config, plan, found, tests, met.probes)
    plan = _plan(config, config.count, weak, other, seed, seeds)
    draw = Drawing(label=str(seed), avoid=met.probes, later=met.asked)
    return _chosen(config, plan, supplied(config.source, plan, seed, 0, draw), tests, met.probes)


def choose_probes(
    config: QuestionsConfig,
    count: int,
    tiers: Sequence[str],
    tests: Sequence[Task],
    seed: int,
    avoid: Container[str] = (),
) -> Chosen:
    """Return questions for the student to try, each tier having its share; they are never the round's questions.

    `avoid` has the prompts of what the student was trained on: a probe of those would say that it copes. Of a file,
    probes take at most half of what is left in a tier: the others are to be asked, unless the teacher writes what is
    asked. Raises as `choose` does.
    """
    wanted = [Wanted(tier=tier, count=number) for tier, number in dealt(count, tiers).items()]
    draw = Drawing(label=f"{seed} probes", avoid=avoid, share=1.0 if config.created else _PROBED)
    return _chosen(config, wanted, supplied(config.source, wanted, seed, _PROBES, draw), tests, avoid)


def _plan(
    config: QuestionsConfig,
    count: int,
    weak: Sequence[str],
    other: Sequence[str],
    seed: int,
    seeds: Sequence[SeedQuestion],
) -> list[Wanted]:
    if config.feedback is QuestionsBy.NONE:
        return wanted_of_tiers(count, [*weak, *other], (), 0)
    if config.feedback is QuestionsBy.RANDOM_TIER:
        weak, other = random_tiers(weak, other, seed)
    if config.feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER):
        return wanted_of_tiers(count, weak, other, config.replay)
    kinds = _kinds(config.source, [*weak, *other])
    by_levels = wanted_by_levels(seeds, count, config.weights, config.widen, kinds)
    if config.feedback is QuestionsBy.LEVELS:
        return by_levels
    counts: dict[str, int] = {}
    for part in by_levels:
        counts[part.tier] = counts.get(part.tier, 0) + part.count
    return [Wanted(tier=tier, count=count) for tier, count in sorted(counts.items())]


def _kinds(source: str, tiers: Sequence[str]) -> set[tuple[str, str]]:
    """Return the tiers and families of all questions that there are."""
    if generator := GENERATORS.get(source):
        return {(tier, family) for tier in tiers for family in generator.families(tier)}
    return {(question.task.tier or "", question.family) for question in listed(source)}


def _chosen(
    config: QuestionsConfig,
    plan: Sequence[Wanted],
    supplied: Sequence[Supplied],
    tests: Sequence[Task],
    avoid: Container[str],
) -> Chosen:
    see_that_none_is_a_test([one.task for one in supplied], tests, config.source)
    new = [one for one in supplied if one.task.prompt not in avoid]
    chosen = without_leaks([one.task for one in new], {one.task.task_id: one.family for one in new}, tests)
    parts = {one.task.task_id: one.part for one in new}
    found = Counter(parts[task.task_id] for task in chosen.tasks)
    return replace(
        chosen,
        known=len(supplied) - len(new),
        plan=tuple(plan),
        found=tuple(found[place] for place in range(len(plan))),
    )


def see_that_none_is_a_test(tasks: Sequence[Task], tests: Sequence[Task], source: str) -> None:
    """Raise LeakageError when a question is not marked as one to train on, or is a test by its id."""
    if foreign := [task for task in tasks if task.split != "train"]:
        raise LeakageError(
            f"{source}: {foreign[0].task_id} is not marked as a task to train on; if it is one, give its line "
            'the field "split": "train"'
        )
    test_ids = {task.task_id for task in tests}
    if same := sorted(test_ids.intersection(task.task_id for task in tasks)):
        raise LeakageError(f"{source}: {same[0]} is a task of the test set; train on other tasks")


def without_leaks(tasks: Sequence[Task], families: Mapping[str, str], tests: Sequence[Task]) -> Chosen:
    """Return the questions that give no test away by their text; `families` has their kinds."""
    # Programs of a file are anybody's, and are compared by text alone; the ladder's generator has compared behaviour.
    leaks = find_leaks(tasks, tests, run=False)
    leaking = {leak.task_id for leak in leaks}
    kept = [task for task in tasks if task.task_id not in leaking]
    return Chosen(
        tasks=tuple(kept),
        leaks=tuple(leaks),
        families={task.task_id: family for task in kept if (family := families.get(task.task_id))},
    )
