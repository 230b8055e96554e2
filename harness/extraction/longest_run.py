"""The longest run of lines of a text that Python can parse: EvalPlus's way to find the code in an answer.

Source: EvalPlus 0.3.1, sanitize.py, code_extract. It parses every run of every text, which takes minutes for a thousand
lines; this module finds the same run with a few parses for each line:

- A run is tried as far as the parser reads: two lines, then eight, until it fails before the end of what it was given.
  No longer run from the same line can be parsed then.
- A run with an error in a line is as wrong with any other end behind that line, so the next end to try is before it.
- A run that is parsed makes those needless that begin at a later statement of it: they are shorter.
- A run that cannot have more lines of code than the longest so far is not tried.

Where a text is longer than `MOST_CHARACTERS`, its first lines count; where all parses together have read
`MOST_PARSED` characters, which no answer of a model comes near, the longest run by then is the result.
"""

from __future__ import annotations

import ast
import re
from itertools import accumulate

from harness.syntax import Parsed, try_parse

MOST_CHARACTERS = 1 << 16
MOST_PARSED = 8 * MOST_CHARACTERS
_OVERHEAD = 40  # characters: what calling the parser costs
_INDENTED = re.compile(r"[ \t]+[^\s#\\]")
_UNUSABLE = re.compile("[\0\ud800-\udfff]")  # the parser takes no text with these


def longest_run(text: str) -> str:
    """Return the run of two lines or more that can be parsed and has the most lines that are not blank.

    Of several the first, and of those from the same line the shortest; the text's first line where there is none. Never
    fails, whatever the text.
    """
    if len(text) > MOST_CHARACTERS:
        text = text[: max(text.rfind("\n", 0, MOST_CHARACTERS), 0) or MOST_CHARACTERS]
    lines = text.split("\n")
    start, end = _Search(lines).longest()
    return "\n".join(lines[start:end])


class _Search:
    """The search for the longest run of some lines; runs are half-open ranges of them."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._code = list(accumulate((bool(line.strip()) for line in lines), initial=0))
        self._needless = bytearray(len(lines))  # lines from which no longer run begins
        self._left = MOST_PARSED
        self._walls = [place for place, line in enumerate(lines) if _UNUSABLE.search(line)] + [len(lines)]

    def longest(self) -> tuple[int, int]:
        best = (0, 1)
        most = 0
        walls = iter(self._walls)
        wall = next(walls)
        for start in range(len(self._lines) - 1):
            if self._left <= 0 or self._count(start, len(self._lines)) <= most:
                break
            while wall < start:
                wall = next(walls)
            if not self._needless[start] and not _INDENTED.match(self._lines[start]):
                end = self._end(start, wall, most)
                if end is not None:
                    best, most = (start, end), self._count(start, end)
        return best

    def _count(self, start: int, end: int) -> int:
        """Return how many lines of a run are not blank."""
        return self._code[end] - self._code[start]

    def _parse(self, start: int, end: int, *, may_go_on: bool = False) -> Parsed:
        source = "\n".join(self._lines[start:end])
        self._left -= len(source) + _OVERHEAD
        parsed = try_parse(source, may_go_on=may_go_on)
        if parsed.tree:
            self._see_what_is_needless(start, end, parsed.tree)
        return parsed

    def _see_what_is_needless(self, start: int, end: int, tree: ast.Module) -> None:
        """Mark the lines of a run from which no longer run begins: all but its first, and those within a statement."""
        within = bytearray(end - start)
        for node in tree.body:
            first = min((one.lineno for one in getattr(node, "decorator_list", ())), default=node.lineno)
            for place in range(first, node.end_lineno or first):
                within[place] = True
        for place, is_within in enumerate(within, start):
            if not is_within:
                self._needless[place] = True

    def _end(self, start: int, wall: int, most: int) -> int | None:
        """Return where the longest run from a line ends, if it has more than `most` lines of code."""
        end, size = start, 2
        parsed = Parsed(may_go_on=True)
        while end < wall and (parsed.tree or parsed.may_go_on or self._lines[end - 1].endswith("\\")):
            end = min(start + size, wall)
            size *= 4
            parsed = self._parse(start, end, may_go_on=end < wall)
        while not parsed.tree:
            end = min(end - 1, start + parsed.line - 1) if parsed.line else end - 1
            if end - start < 2 or self._count(start, end) <= most or self._left <= 0:
                return None
            parsed = self._parse(start, end)
        is_longer = end - start >= 2 and self._count(start, end) > most
        return self._shortest(start, end) if is_longer else None

    def _shortest(self, start: int, end: int) -> int:
        """Return the first end of a run that leaves out nothing but blank lines."""
        first = end
        while first - start > 2 and self._count(start, first - 1) == self._count(start, end):
            first -= 1
        for place in range(first, end):
            if self._left <= 0:
                break
            if self._parse(start, place).tree:
                return place
        return end
