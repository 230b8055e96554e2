"""The hostile suite: programs that attack the sandbox or their judge, and what must become of each.

One table per kind of attack, `*.toml` beside this file; `harness selftest` runs them and the tests read the same ones.
Each program is offered as a solution of a task that wants `add(x, y)`, the sum of two numbers. Keys of a table:

- `judged_by`: "check" (a benchmark's own assertions), "call" (calls compared with a reference's), or both.

Keys of a program, those of its table included:

- `item`: a letter for what it attacks and a number. R resources, N network and secrets, F files and what stays of
  them, E ways out, T the verdict.
- `name`: what it tries. No two programs share one.
- `outcomes`, `outcomes_of_calls` (where they differ): the outcomes that it may get. Never "passed", but for:
- `reported`: a right program to any judge, which its verdict must say that it holds the answers to the tests.
- `source`; or `parts`, pairs of a text (or the number of a character) and how often to repeat it.
- `wall_seconds`: where less than the usual backstop will do, for programs that only wait.
- `twice`: whether it runs in two cells at once, to look for what it has of itself in the other.
- `promise`: the beginning of what a sandbox may decline to promise (`Sandbox.not_promised`); in one that does, the
  attack is not promised to be held off.

A source with `attack()` returns from it a list of what it reached, and `add` returns that: the list must be empty.
`HOST` in it is a dict about the machine outside: see `HostileProgram.source_on`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

GROUPS = {
    "R": "resources",
    "N": "network and secrets",
    "F": "files and what stays of them",
    "E": "ways out",
    "T": "the verdict",
}
_AS_SOLUTION = "\ndef add(x, y):\n    return attack()\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostileProgram:
    """A program that attacks, and the outcomes that it may get from each way of judging."""

    item: str
    name: str
    source: str
    judged_by: tuple[str, ...]
    outcomes: frozenset[str]
    outcomes_of_calls: frozenset[str]
    wall_seconds: float | None
    promise: str | None
    twice: bool
    reported: bool

    @property
    def reaches(self) -> bool:
        """Whether it says itself what it reached: then nothing may be in its list."""
        return "def attack(" in self.source

    def source_on(self, facts: Mapping[str, object]) -> str:
        """Return the source as a solution of the task, with `HOST` set to these facts about the machine outside.

        `ports` (open on all its addresses), `paths` (files that exist there), `canary` (a secret of the harness's
        environment, in two halves, so that it is nowhere whole but there).
        """
        head = f"HOST = {dict(facts)!r}\n" if "HOST" in self.source else ""
        return head + self.source + (_AS_SOLUTION if self.reaches else "")


@cache
def hostile_programs() -> tuple[HostileProgram, ...]:
    """Return the hostile suite, in the order of its items."""
    programs = [program for path in Path(__file__).parent.glob("*.toml") for program in _read(path)]
    return tuple(sorted(programs, key=lambda program: (list(GROUPS).index(program.item[0]), int(program.item[1:]))))


def hostile_program(name: str) -> HostileProgram:
    """Return one program of the suite. Raises KeyError for a name that none has."""
    return {program.name: program for program in hostile_programs()}[name]


def _read(path: Path) -> list[HostileProgram]:
    import tomllib  # not when the package is imported, which is often for something else

    table = tomllib.loads(path.read_text(encoding="utf-8"))
    usual = {key: value for key, value in table.items() if key != "program"}
    return [_program({**usual, **entry}) for entry in table["program"]]


def _program(entry: dict[str, Any]) -> HostileProgram:
    source = entry.pop("source", None) or "".join(_text(what) * times for what, times in entry.pop("parts"))
    outcomes = frozenset(entry.pop("outcomes"))
    return HostileProgram(
        item=entry.pop("item"),
        name=entry.pop("name"),
        source=source,
        judged_by=tuple(entry.pop("judged_by")),
        outcomes=outcomes,
        outcomes_of_calls=frozenset(entry.pop("outcomes_of_calls", outcomes)),
        wall_seconds=entry.pop("wall_seconds", None),
        promise=entry.pop("promise", None),
        twice=entry.pop("twice", False),
        reported=entry.pop("reported", False),
        **entry,  # a key that nobody knows is an error
    )


def _text(part: str | int) -> str:
    return part if isinstance(part, str) else chr(part)
