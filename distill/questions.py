"""Questions to make lessons of: which ones, and where they come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from distill.created import CreatedConfig
from distill.lessons import LeakageError
from distill.seeds import LevelWeights, SeedQuestion, Wanted, dealt, random_tiers, wanted_by_levels, wanted_of_tiers
from distill.seeds import QuestionsBy as QuestionsBy
from distill.task_files import read_families
from harness import Leak, Task, UsageError, find_leaks, ladder_families, ladder_rungs, load_benchmark

LADDER = "ladder"
_TASK_FILES = (".jsonl", ".jsonl.gz")
_SEEDS = 100  # more than a plan has parts
_PROBES = 80  # the first part of the probes: no plan of questions has so many
_PROBED = 0.5  # the share of a file's questions that probes may take


class QuestionsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which questions: `source` is `ladder` (its training tasks) or a task file in HumanEval's format.

    `count` questions a round, chosen by `feedback`. By weak tiers, and with a random tier in their place, the share
    `replay` of them is of the other tiers, so that those are not forgotten; otherwise `replay` says nothing. By levels,
    `weights` say how often the like of a seed question is asked, and the share `widen` is of other kinds than easy
    seeds are. The lines of a file have the fields `tier` and `"split": "train"` beside HumanEval's, and may have
    `family`, which is the kind. With `fail_on_leak` a lesson that gives a test away ends the round; otherwise it is
    left out and counted.

    With `created` the teacher writes the questions, from seeds: the probes of `source`, by their levels. `count` is
    then the most that it is asked for.
    """

    source: str = LADDER
    count: int = 4000
    feedback: QuestionsBy = QuestionsBy.WEAK_TIERS
    replay: float = 0.25
    weights: LevelWeights = LevelWeights()
    widen: float = 1 / 6
    fail_on_leak: bool = False
    created: CreatedConfig | None = None

    def __post_init__(self) -> None:
        if self.source != LADDER and not self.source.endswith(_TASK_FILES):
            raise ValueError(f"source {self.source!r}: {LADDER}, or a task file ({', '.join(_TASK_FILES)})")
        if self.count < 1 or not 0 <= self.replay < 1 or not 0 <= self.widen <= 1:
            raise ValueError("count is at least 1, replay a share below 1, and widen a share")
        if self.created and self.feedback is not QuestionsBy.LEVELS:
            raise ValueError("questions are created by the levels of seeds: give questions.feedback: levels")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draw:
    """How to draw from a file: `label` seeds it, and `share` bounds what is taken of a tier's questions.

    Those in `avoid` are not there; those in `later` are drawn where nothing else is left.
    """

    label: str
    avoid: Container[str]
    later: Container[str] = ()
    share: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Supplied:
    task: Task
    family: str
    part: int


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
    plan = _plan(config, weak, other, seed, seeds)
    if config.source == LADDER:
        return _chosen(config, plan, _from_ladder(plan, seed), tests, met.probes)
    draw = _Draw(label=str(seed), avoid=met.probes, later=met.asked)
    return _chosen(config, plan, _from_file(config.source, plan, draw), tests, met.probes)


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
    if config.source == LADDER:
        return _chosen(config, wanted, _from_ladder(wanted, seed, _PROBES), tests, avoid)
    draw = _Draw(label=f"{seed} probes", avoid=avoid, share=1.0 if config.created else _PROBED)
    return _chosen(config, wanted, _from_file(config.source, wanted, draw), tests, avoid)


def _plan(
    config: QuestionsConfig, weak: Sequence[str], other: Sequence[str], seed: int, seeds: Sequence[SeedQuestion]
) -> list[Wanted]:
    if config.feedback is QuestionsBy.NONE:
        return wanted_of_tiers(config.count, [*weak, *other], (), 0)
    if config.feedback is QuestionsBy.RANDOM_TIER:
        weak, other = random_tiers(weak, other, seed)
    if config.feedback in (QuestionsBy.WEAK_TIERS, QuestionsBy.RANDOM_TIER):
        return wanted_of_tiers(config.count, weak, other, config.replay)
    kinds = _kinds(config.source, [*weak, *other])
    by_levels = wanted_by_levels(seeds, config.count, config.weights, config.widen, kinds)
    if config.feedback is QuestionsBy.LEVELS:
        return by_levels
    counts: dict[str, int] = {}
    for part in by_levels:
        counts[part.tier] = counts.get(part.tier, 0) + part.count
    return [Wanted(tier=tier, count=count) for tier, count in sorted(counts.items())]


def _kinds(source: str, tiers: Sequence[str]) -> set[tuple[str, str]]:
    """Return the tiers and families of all questions that there are."""
    if source == LADDER:
        return {(tier, family) for tier in tiers for family in ladder_families(tier)}
    tasks = load_benchmark(source).tasks
    families = read_families(Path(source))
    return {(task.tier or "", families.get(task.task_id, "")) for task in tasks}


def _chosen(
    config: QuestionsConfig,
    plan: Sequence[Wanted],
    supplied: Sequence[_Supplied],
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


def _from_ladder(plan: Sequence[Wanted], seed: int, first: int = 0) -> list[_Supplied]:
    # A seed of its own for each part, since task ids are made of seed and number.
    return [
        _Supplied(task=rung.to_task("train"), family=rung.family, part=place)
        for place, part in enumerate(plan)
        for rung in ladder_rungs(
            seed=seed * _SEEDS + first + place, count=part.count, tiers=(part.tier,), families=part.families or None
        )
    ]


def _from_file(path: str, plan: Sequence[Wanted], draw: _Draw) -> list[_Supplied]:
    by_tier: dict[str, list[Task]] = {}
    for task in load_benchmark(path).tasks:
        by_tier.setdefault(task.tier or "", []).append(task)
    families = read_families(Path(path))
    chosen: dict[str, _Supplied] = {}
    for place, part in enumerate(plan):
        if part.count and part.tier not in by_tier:
            raise UsageError(f"{path} has no questions of the tier {part.tier}: it has {', '.join(sorted(by_tier))}")
        there = [
            task
            for task in by_tier.get(part.tier, [])
            if (not part.families or families.get(task.task_id) in part.families)
            and task.task_id not in chosen
            and task.prompt not in draw.avoid
        ]
        for task in _drawn(there, part, draw):
            chosen[task.task_id] = _Supplied(task=task, family=families.get(task.task_id, ""), part=place)
    return list(chosen.values())


def _drawn(there: Sequence[Task], part: Wanted, draw: _Draw) -> list[Task]:
    """Draw a part's questions, first from those that nobody was asked."""
    import random

    chance = random.Random(" ".join((draw.label, part.tier, *part.families)))
    new = [task for task in there if task.prompt not in draw.later]
    old = [task for task in there if task.prompt in draw.later]
    most = min(part.count, int(len(there) * draw.share))
    drawn = chance.sample(new, min(most, len(new)))
    return drawn + chance.sample(old, min(most - len(drawn), len(old)))
