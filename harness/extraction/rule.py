"""What an extraction rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.records import Task


@dataclass(frozen=True, slots=True)
class ExtractionRule:
    """A rule by name: `extract(task, completion)` is the program. `source` says where the rule comes from."""

    name: str
    source: str
    extract: Callable[[Task, str], str]
