"""The numbers that others reported, from `published/*.toml`: each with its source and its date, never ranked."""

from __future__ import annotations

import datetime
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from leaderboards.runs import Unusable
from leaderboards.text import one_line

FOLDER = Path(__file__).parent / "published"
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
Link = Annotated[str, msgspec.Meta(pattern=r"^https://[\w./%#?=&+-]+$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What one source reports of one model: scores in percent by benchmark, how they were made, where and when."""

    model: str
    parameters: float | None
    protocol: str
    pass_1: dict[str, float]
    pass_10: dict[str, float]
    source: str
    link: str
    date: datetime.date


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    model: Text
    parameters_billion: Annotated[float, msgspec.Meta(gt=0)] | None = None
    protocol: Text | None = None
    pass_1: dict[Text, Percent]
    pass_10: dict[Text, Percent] = {}


class _Source(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A file: one source with one date; `protocol` holds for the entries that have none of their own."""

    source: Text
    link: Link
    date: datetime.date
    protocol: Text
    entry: Annotated[list[_Entry], msgspec.Meta(min_length=1)]


def read_published(folder: Path = FOLDER) -> list[Reported]:
    """Return every reported row, sorted. Raises Unusable, with file and reason, for a file of another form."""
    rows = [row for path in sorted(folder.glob("*.toml")) for row in _read(path)]
    return sorted(rows, key=lambda row: (row.source, row.parameters or 1e15, row.model))


def _read(path: Path) -> list[Reported]:
    try:
        file = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Source)
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: {error}") from None
    return [
        Reported(
            model=one_line(entry.model),
            parameters=entry.parameters_billion * 1e9 if entry.parameters_billion else None,
            protocol=one_line(entry.protocol or file.protocol, 400),
            pass_1=entry.pass_1,
            pass_10=entry.pass_10,
            source=one_line(file.source),
            link=file.link,
            date=file.date,
        )
        for entry in file.entry
    ]
