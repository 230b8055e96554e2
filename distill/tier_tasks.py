"""Tasks whose tiers are known, to learn tiers of: never a test, nor what gives one away."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from distill.decontaminate import Decontamination, LeakRules, decontaminate
from distill.encoder_settings import KnownTiers, Sees, TuneTiers
from distill.lessons import LeakageError
from distill.likeness import parts_of
from distill.question_sources import GENERATORS, LISTS, is_file, listed
from distill.texts import TrainingText, programs_in, tree_of
from harness import Task, UsageError, load_benchmark, read_tiers, static_tiers, wordless_functions

_DEV_SHARE = 10  # one task in so many is only looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class TieredTask:
    """What a task is told by, in the order in which the encoder reads it, and its tier."""

    name: str
    parts: tuple[str, ...]
    tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTasks:
    """Tasks to learn tiers of, some of them only to look at. `read` counts those that leak, too."""

    train: tuple[TieredTask, ...]
    dev: tuple[TieredTask, ...]
    read: int
    leaks: Decontamination

    @property
    def tiers(self) -> tuple[str, ...]:
        """The tiers that are there to learn, sorted by name."""
        return tuple(sorted({one.tier for one in self.train}))

    @property
    def digest(self) -> str:
        """The SHA-256 over all tasks and their tiers."""
        rows = [[one.name, one.parts, one.tier] for one in (*self.train, *self.dev)]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def tier_tasks(config: TuneTiers) -> TierTasks:
    """Return the tasks of which tiers are learnt.

    Raises LeakageError for tests among them, UsageError where there are fewer than two tiers, or what the encoder is to
    see is not there, and what reading the tasks raises.
    """
    tasks = [task for known in config.known for task in _known(known)]
    if tests := [task for task in tasks if task.split == "test"]:
        raise LeakageError(f"{tests[0].task_id} is a test, of which no tiers are learnt: name a training or dev split")
    texts = [_text(place, task) for place, task in enumerate(tasks)]
    leaks = decontaminate(texts, config.apart_from, LeakRules(run=False))
    clean = [task for text, task in zip(texts, tasks, strict=True) if text.name not in leaks.leaking]
    found = [TieredTask(name=task.task_id, parts=told_by(task, config.sees), tier=task.tier or "") for task in clean]
    train, dev = ([one for one in found if _is_looked_at(one) is looked] for looked in (False, True))
    if len({one.tier for one in train}) < 2:
        raise UsageError(f"{len(train)} tasks to learn of, all of one tier: name tasks of two tiers at least in known")
    return TierTasks(train=tuple(train), dev=tuple(dev), read=len(tasks), leaks=leaks)


def told_by(task: Task, sees: Sees) -> tuple[str, ...]:
    """Return what of a task the encoder reads. Raises UsageError where that is not there."""
    words = dict(parts_of(task)).get("description", "").strip()
    functions = wordless_functions(task.reference) if tree_of(task.reference) is not None else ()
    code = next((one.code for one in functions if one.name == task.entry_point), "")
    parts = {Sees.QUESTION: (words,), Sees.SOLUTION: (code,), Sees.BOTH: (words, code)}[sees]
    if not all(parts):
        what = "description in words" if not words and sees is not Sees.SOLUTION else "solution that is a function"
        raise UsageError(f"{task.task_id} has no {what}, by which its tier is to be told: let sees be another one")
    return parts


def _known(known: KnownTiers) -> list[Task]:
    """Return tasks with their tiers."""
    if (generator := GENERATORS.get(known.tasks)) is not None:
        if known.count is None or known.tiers is not None:
            raise UsageError(f"{known.tasks} has no end, and tiers of its own: give its count, and no file of tiers")
        tiers = sorted({one.tier for one in static_tiers(load_benchmark(known.tasks)).tasks})
        return [question.task for question in generator.draw(known.seed, known.count, tiers, None)]
    if known.count is not None:
        raise UsageError(f"{known.tasks} is learnt whole: leave its count out")
    if known.tiers is None and (known.tasks in LISTS or is_file(known.tasks)):
        return list(_with_tiers([question.task for question in listed(known.tasks)], known.tasks, None))
    if known.tasks in LISTS:
        raise UsageError(f"a file of tiers is of a task file or a dev split, and not of {known.tasks}: leave it out")
    return list(_with_tiers(load_benchmark(known.tasks).tasks, known.tasks, known.tiers))


def _with_tiers(tasks: Sequence[Task], name: str, path: str | None) -> Iterator[Task]:
    if path is None and all(task.tier for task in tasks):
        yield from tasks
        return
    benchmark = load_benchmark(name)
    tiers = (static_tiers(benchmark) if path is None else read_tiers(path, benchmark)).by_task()
    for task in tasks:
        yield replace(task, tier=tiers[task.task_id])


def _text(place: int, task: Task) -> TrainingText:
    text = task.reference if task.prompt in task.reference else f"{task.prompt}\n{task.reference}"
    return TrainingText(name=f"{place}: {task.task_id}", text=text, programs=programs_in(task.reference))


def _is_looked_at(task: TieredTask) -> bool:
    return hashlib.sha256(task.name.encode()).digest()[0] % _DEV_SHARE == 0
