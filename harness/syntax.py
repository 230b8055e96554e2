"""Python's own parser, for judges that work beside each other."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_ONE_AT_A_TIME = threading.Lock()
_ALLOW_INCOMPLETE_INPUT = 0x4000  # codeop.PyCF_ALLOW_INCOMPLETE_INPUT, which typeshed does not have
_INCOMPLETE = "incomplete input"  # what CPython says, with the flag, of a text that more lines may make whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What the parser says of a text: its tree, or the line (from 1) of its error, and whether more lines may mend it.

    `line` is 0 where the parser names none: it has run out of depth, or of memory.
    """

    tree: ast.Module | None = None
    line: int = 0
    may_go_on: bool = False


def parse_source(source: str) -> ast.Module:
    """Return the tree of a module, as `ast.parse` does, whose errors it raises, without its warnings."""
    with _parsing():
        return ast.parse(source)


def try_parse(source: str, *, may_go_on: bool = False) -> Parsed:
    """Return what the parser says of any text, without a warning. `ast.parse` takes what has a tree, and nothing else.

    With `may_go_on`, a text whose end the parser has reached before its error is said to be one that may go on.
    """
    flags = ast.PyCF_ONLY_AST | (_ALLOW_INCOMPLETE_INPUT if may_go_on else 0)
    try:
        with _parsing():
            return Parsed(tree=compile(source, "<program>", "exec", flags))
    except SyntaxError as error:
        return Parsed(line=error.lineno or 0, may_go_on=may_go_on and error.msg == _INCOMPLETE)
    except (ValueError, OverflowError, RecursionError, MemoryError):
        return Parsed()


@contextmanager
def _parsing() -> Iterator[None]:
    """Let one thread at a time parse, without warnings: an invalid escape in somebody's code is no concern of callers.

    CPython counts the depth of all trees under construction in one place, and raises SystemError when two threads mix
    them up (python/cpython#106905); and what is done with warnings is the same for all threads.
    """
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
