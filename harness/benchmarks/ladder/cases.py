"""From a draft to a task: an example for the docstring, and tests that wrong programs fail.

The tests of a test task are chosen against mutants of its solution and against other tasks of its family; those of a
training task are random, which is fifty times as fast.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.benchmarks.ladder.drafts import Draft
from harness.benchmarks.ladder.draw import Draw
from harness.benchmarks.ladder.inputs import Inputs, edges_for, inputs_for
from harness.benchmarks.ladder.mutants import mutants
from harness.benchmarks.ladder.programs import FAILED, Function, Overrun, function_of, outcome
from harness.benchmarks.ladder.rungs import Rung

_POOL, _DEEP_POOL, _QUICK_POOL = 120, 800, 12
_LEAST, _MOST = 8, 11
_WIDTH = 48  # of a case's inputs, and of its value
_EXAMPLE_WIDTH = 34
_COMMONEST = 0.8  # a value that comes more often says little
# A mutant of one of these kinds that makes no difference shows that a part of the task makes none.
_PARTS = frozenset(
    {"dropped branch", "dropped call", "dropped condition", "dropped operand", "dropped sign", "method"}
    | {"negated condition", "removed statement"}
)


@dataclass(frozen=True, slots=True)
class Case:
    """What the function returns for one input."""

    inputs: Inputs
    value: Any

    @property
    def call(self) -> str:
        """The inputs as they stand in a call."""
        return ", ".join(map(repr, self.inputs))

    @property
    def width(self) -> int:
        return max(len(self.call), len(repr(self.value)))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The cases of a task."""

    example: Case
    tests: tuple[Case, ...]


def rung_of(draft: Draft, chosen: Chosen, task_id: str, tier: str) -> Rung:
    """Return the task of a draft and its cases."""
    text = draft.sentence.replace("\n", "\n    ")
    example = f"    >>> {draft.name}({chosen.example.call})\n    {chosen.example.value!r}\n"
    asserts = (f"    assert candidate({case.call}) == {case.value!r}\n" for case in chosen.tests)
    return Rung(
        task_id=task_id,
        prompt=f'{draft.head}\n    """{text}\n{example}    """\n',
        entry_point=draft.name,
        canonical_solution=draft.solution,
        test=f"def check(candidate):\n{''.join(asserts)}",
        tier=tier,
        family=draft.family,
    )


def quick_cases(draft: Draft, draw: Draw) -> Chosen | None:
    """Return random cases, or None when the draft's values are too much alike."""
    pool = _cases(draft, [inputs_for(draft.arguments, draw) for _ in range(_QUICK_POOL)])
    if not _is_varied(pool):
        return None
    examples = [case for case in pool if _is_example(case)]
    if not examples:
        return None
    example = examples[0]
    edges = edges_for(draft.arguments, draw)
    tests = _cases(draft, [draw.one_of(edges)], pool) + [case for case in pool if case is not example]
    return Chosen(example, tuple(tests[:_LEAST]))


def checked_cases(draft: Draft, relatives: Sequence[Draft], draw: Draw) -> Chosen | None:
    """Return cases that fail every mutant that differs, and every relative; None when the draft is no good task.

    It is none when its values are too much alike, when a part of its program makes no difference, or when `_MOST`
    cases are not enough.
    """
    edges = _cases(draft, edges_for(draft.arguments, draw))
    random = _cases(draft, [inputs_for(draft.arguments, draw) for _ in range(_POOL)], edges)
    if not _is_varied(random):
        return None
    pool = edges + random
    mutated = list(mutants(draft.program))
    wrong = [function_of(mutant.tree, draft.name) for mutant in mutated]
    failed = [_failed(function, pool) for function in wrong]
    alive = [place for place, cases in enumerate(failed) if not cases]
    if alive:
        deep = _cases(draft, [inputs_for(draft.arguments, draw) for _ in range(_DEEP_POOL)], pool)
        for place in alive:
            failed[place] = {at + len(pool) for at in _failed(wrong[place], deep, first_only=True)}
        pool += deep
    if any(mutant.kind in _PARTS and not cases for mutant, cases in zip(mutated, failed, strict=True)):
        return None
    failed += [_failed(function_of(one.program, one.name), pool[: len(edges) + len(random)]) for one in relatives]
    examples = [place for place, case in enumerate(pool) if len(edges) <= place < len(edges) + 40 and _is_example(case)]
    if not examples:
        return None
    best = max(examples, key=lambda place: (sum(place in cases for cases in failed), -place))
    places = _cover(failed, pool, {best}, len(edges), draw)
    return None if places is None else Chosen(pool[best], tuple(pool[place] for place in places))


def _cases(draft: Draft, inputs: Sequence[Inputs], known: Sequence[Case] = ()) -> list[Case]:
    """Return the cases of the inputs, each once and none of those known.

    Inputs that are too long or that the function fails on are left out.
    """
    function = function_of(draft.program, draft.name)
    seen = {case.call for case in known}
    found = []
    for one in inputs:
        case = Case(one, outcome(function, one))
        if case.value is not FAILED and case.width <= _WIDTH and case.call not in seen:
            seen.add(case.call)
            found.append(case)
    return found


def _is_varied(cases: Sequence[Case]) -> bool:
    counts = Counter(repr(case.value) for case in cases)
    least = 2 if isinstance(cases[0].value if cases else None, bool) else min(4, len(cases) // 2)
    return len(cases) > _LEAST and len(counts) >= least and max(counts.values()) <= _COMMONEST * len(cases)


def _is_example(case: Case) -> bool:
    """Whether a case shows something: its inputs and value are neither empty nor long."""
    shows = isinstance(case.value, bool) or bool(case.value)
    return shows and case.width <= _EXAMPLE_WIDTH and all(value or isinstance(value, int) for value in case.inputs)


def _failed(function: Function, cases: Sequence[Case], first_only: bool = False) -> set[int]:
    """Return the places of the cases that a function fails; after too many steps it is not asked again."""
    places: set[int] = set()
    for place, case in enumerate(cases):
        try:
            if outcome(function, case.inputs) == case.value:
                continue
        except Overrun:
            return {*places, place}
        places.add(place)
        if first_only:
            break
    return places


def _cover(failed: list[set[int]], pool: list[Case], used: set[int], edges: int, draw: Draw) -> list[int] | None:
    """Return places of cases, an edge first, so that each wrong program fails one of them; None if it takes too many.

    The case of the example is not among them: a program that knows it by heart gains nothing.
    """
    places: list[int] = []
    if edges:
        places.append(0 if draw.chance(0.5) else draw.below(edges))
    left = [cases - used for cases in failed if cases and not cases & set(places)]
    if not all(left):
        return None
    while left:
        counts = Counter(place for cases in left for place in cases)
        best = min(counts, key=lambda place: (-counts[place], pool[place].width, place))
        places.append(best)
        left = [cases for cases in left if best not in cases]
        if len(places) > _MOST:
            return None
    return _filled(places, pool, {*used, *range(edges)})


def _filled(places: list[int], pool: list[Case], passed_over: set[int]) -> list[int]:
    """Return the places and as many more as make `_LEAST`, each of a value that has come least often."""
    places = list(places)
    counts = Counter(repr(pool[place].value) for place in places)
    while len(places) < _LEAST:
        left = [place for place in range(len(pool)) if place not in passed_over and place not in places]
        if not left:
            break
        place = min(left, key=lambda one: (counts[repr(pool[one].value)], one))
        places.append(place)
        counts[repr(pool[place].value)] += 1
    return places
