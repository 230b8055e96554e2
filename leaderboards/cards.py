"""Failure cards: one sample that did not pass, with its code, the first failing input, and both values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from harness.records import Outcome, Sample, Verdict, from_json
from leaderboards.runs import MAX_FILE_BYTES, SAMPLES, VERDICTS, Run, Unusable, open_regular
from leaderboards.text import one_line, plain

Line = TypeVar("Line", Sample, Verdict)
Key = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One sample as people look at it; every text is plain and cut."""

    task: str
    sample: int
    outcome: Outcome
    tests: str
    reason: str
    call: str
    expected: str
    actual: str
    output: str
    program: str
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """How much of a program and of a value a card shows, in characters."""

    program: int = 20_000
    value: int = 2_000


class _Place(msgspec.Struct):
    """Which sample a line is about."""

    task_id: str
    sample_index: int
    passed: bool = False


_PLACE = msgspec.json.Decoder(_Place)


def failures(run: Run, most: int, lengths: Lengths) -> list[Card]:
    """Return a card for the first failing sample of each task, `most` of them, in the order of the verdicts."""
    seen: set[str] = set()

    def choose(place: _Place) -> bool:
        if place.passed or place.task_id in seen:
            return False
        seen.add(place.task_id)
        return True

    return _cards(run, choose, most, lengths)


def of_task(run: Run, task: str, lengths: Lengths) -> list[Card]:
    """Return a card for every sample of a task, passes included. Raises Unusable if there is none."""
    cards = _cards(run, lambda place: place.task_id == task, run.report.samples, lengths)
    if not cards:
        raise Unusable(f"no sample of {task!r} in {run.folder}")
    return cards


def _cards(run: Run, choose: Callable[[_Place], bool], most: int, lengths: Lengths) -> list[Card]:
    if most <= 0:
        return []
    verdicts = {_key(one): one for one in _read(run.folder / VERDICTS, Verdict, choose, most)}
    wanted = set(verdicts)

    def is_wanted(place: _Place) -> bool:
        return (place.task_id, place.sample_index) in wanted

    samples = {_key(one): one for one in _read(run.folder / SAMPLES, Sample, is_wanted, len(wanted))}
    if lost := sorted(wanted - set(samples)):
        raise Unusable(f"{run.folder / SAMPLES}: no sample {lost[0][0]} [{lost[0][1]}], on which there is a verdict")
    return [_card(verdict, samples[key].program, lengths) for key, verdict in verdicts.items()]


def _key(record: Sample | Verdict) -> Key:
    return record.task_id, record.sample_index


def _read(path: Path, kind: type[Line], choose: Callable[[_Place], bool], most: int) -> Iterator[Line]:
    """Yield the chosen records, and stop reading after `most`."""
    left = most
    with open_regular(path, MAX_FILE_BYTES) as file:
        for number, line in enumerate(file, 1):
            if not left:
                return
            try:
                place = _place(line)
                if choose(place):
                    left -= 1
                    yield from_json(kind, line)
            except (ValueError, RecursionError) as error:
                raise Unusable(f"{path}:{number}: not a {kind.__name__}: {error}") from None


def _place(line: bytes) -> _Place:
    try:
        return _PLACE.decode(line)
    except ValueError:  # lone surrogates, which only the patient reader takes
        return from_json(_Place, line)


def _card(verdict: Verdict, program: str, lengths: Lengths) -> Card:
    evidence = verdict.evidence
    return Card(
        task=one_line(verdict.task_id),
        sample=verdict.sample_index,
        outcome=verdict.outcome,
        tests=f"{verdict.tests_run} of {verdict.tests_expected} tests",
        reason=plain(evidence.reason, lengths.value),
        call=plain(evidence.call or "", lengths.value),
        expected=plain(evidence.expected or "", lengths.value),
        actual=plain(evidence.actual or "", lengths.value),
        output=plain(evidence.output or "", lengths.value),
        program=plain(program, lengths.program).rstrip(),
        cpu_seconds=round(verdict.cpu_seconds, 3),
    )
