"""Questions to make lessons of: which ones, where they come from, the file that the harness has a teacher answer."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from distill.created import CreatedConfig
from distill.lessons import LeakageError
from distill.seeds import LevelWeights, SeedQuestion, Wanted, dealt, random_tiers, wanted_by_levels, wanted_of_tiers
from distill.seeds import QuestionsBy as QuestionsBy
from harness import CheckTests, Leak, Task, UsageError, find_leaks, ladder_families, ladder_rungs, load_benchmark

_SEEDS = 100  # more than a plan has parts
_PROBES = 80  # the first part of the probes: no plan of questions has so many


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

    source: str = "ladder"
    count: int = 4000
    feedback: QuestionsBy = QuestionsBy.WEAK_TIERS
    replay: float = 0.25
    weights: LevelWeights = LevelWeights()
    widen: float = 1 / 6
    fail_on_leak: bool = False
    created: CreatedConfig | None = None

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.replay < 1 or not 0 <= self.widen <= 1:
            raise ValueError("count is at least 1, replay a share below 1, and widen a share")
        if self.created and self.feedback is not QuestionsBy.LEVELS:
            raise ValueError("questions are created by the levels of seeds: give questions.feedback: levels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The questions of a round, and the leaks for which others were left out.

    `families` has the kind of each question where kinds matter. `known` counts those that were left out because they
    are among the texts to keep away from. `plan` is what was asked for.
    """

    tasks: tuple[Task, ...]
    leaks: tuple[Leak, ...]
    families: Mapping[str, str] = field(default_factory=dict)
    known: int = 0
    plan: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Supplied:
    task: Task
    family: str


def choose(
    config: QuestionsConfig,
    weak: Sequence[str],
    other: Sequence[str],
    tests: Sequence[Task],
    seed: int,
    seeds: Sequence[SeedQuestion] = (),
    avoid: Container[str] = (),
) -> Chosen:
    """Return the questions of a round; none that gives a test away, and none whose prompt is in `avoid`.

    Raises UsageError when a file has none for a tier that is asked for, LeakageError when a question is a test by its
    id.
    """
    return _supplied(config, _plan(config, weak, other, seed, seeds), tests, seed, avoid)


def choose_probes(
    config: QuestionsConfig,
    count: int,
    tiers: Sequence[str],
    tests: Sequence[Task],
    seed: int,
    avoid: Container[str] = (),
) -> Chosen:
    """Return questions for the student to try, each tier having its share; they are never the round's questions.

    `avoid` has the prompts of what the student was trained on: a probe of those would say that it copes. Raises as
    `choose` does.
    """
    wanted = [Wanted(tier=tier, count=number) for tier, number in dealt(count, tiers).items()]
    return _supplied(config, wanted, tests, seed, avoid, _PROBES)


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
    if source == "ladder":
        return {(tier, family) for tier in tiers for family in ladder_families(tier)}
    families = read_families(Path(source))
    return {(task.tier or "", families.get(task.task_id, "")) for task in load_benchmark(source).tasks}


def _supplied(
    config: QuestionsConfig,
    plan: Sequence[Wanted],
    tests: Sequence[Task],
    seed: int,
    avoid: Container[str],
    first: int = 0,
) -> Chosen:
    if config.source == "ladder":
        supplied = _from_ladder(plan, seed, first)
    else:
        supplied = _from_file(config.source, plan, f"{seed} probes" if first else str(seed), avoid)
    see_that_none_is_a_test([one.task for one in supplied], tests, config.source)
    new = [one for one in supplied if one.task.prompt not in avoid]
    chosen = without_leaks([one.task for one in new], {one.task.task_id: one.family for one in new}, tests)
    return replace(chosen, known=len(supplied) - len(new), plan=tuple(plan))


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


def _from_ladder(plan: Sequence[Wanted], seed: int, first: int) -> list[_Supplied]:
    # A seed of its own for each part, since task ids are made of seed and number.
    return [
        _Supplied(task=rung.to_task("train"), family=rung.family)
        for place, part in enumerate(plan, first)
        for rung in ladder_rungs(
            seed=seed * _SEEDS + place, count=part.count, tiers=(part.tier,), families=part.families or None
        )
    ]


def _from_file(path: str, plan: Sequence[Wanted], seed: str, avoid: Container[str]) -> list[_Supplied]:
    import random

    families = read_families(Path(path))
    by_tier: dict[str, list[_Supplied]] = {}
    for task in load_benchmark(path).tasks:
        by_tier.setdefault(task.tier or "", []).append(_Supplied(task=task, family=families.get(task.task_id, "")))
    chosen: dict[str, _Supplied] = {}
    for part in plan:
        if part.count and part.tier not in by_tier:
            raise UsageError(f"{path} has no questions of the tier {part.tier}: it has {', '.join(sorted(by_tier))}")
        there = [
            one
            for one in by_tier.get(part.tier, [])
            if (not part.families or one.family in part.families)
            and one.task.task_id not in chosen
            and one.task.prompt not in avoid
        ]
        label = " ".join((seed, part.tier, *part.families))
        drawn = random.Random(label).sample(there, min(part.count, len(there)))
        chosen |= {one.task.task_id: one for one in drawn}
    return list(chosen.values())


def write_tasks(tasks: Iterable[Task], path: Path, families: Mapping[str, str] | None = None) -> None:
    """Write tasks in HumanEval's format with their tier, for `--tasks FILE`; the file appears at the end and whole.

    `families` adds the kinds of tasks. Raises UsageError for a task with other tests.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w", encoding="utf-8") as out:
        for task in tasks:
            if not isinstance(task.tests, CheckTests):
                raise UsageError(f"{task.task_id}: its tests are not in HumanEval's format")
            call = f"\ncheck({task.entry_point})\n"
            row = {
                "task_id": task.task_id,
                "prompt": task.prompt,
                "entry_point": task.entry_point,
                "canonical_solution": task.reference.removeprefix(task.prompt),
                "test": task.tests.source.removesuffix(call),
                "tier": task.tier or "",
                "split": task.split,
            }
            if family := (families or {}).get(task.task_id):
                row["family"] = family
            out.write(json.dumps(row) + "\n")
    part.replace(path)


def read_families(path: Path) -> dict[str, str]:
    """Return the kind of each task of a file whose line names one; the harness has read that file before."""
    families = {}
    with path.open("rb") as lines:
        for line in lines:
            row = json.loads(line) if line.strip() else {}
            if isinstance(row.get("family"), str) and row["family"]:
                families[str(row.get("task_id"))] = row["family"]
    return families
