"""Short, harmless texts about untrusted values, for evidence and messages."""

from __future__ import annotations

import reprlib
from collections import deque
from typing import Any

from sandbox import CodecError, Decoder

LONGEST = 2000
_LAID_OUT = frozenset({list, tuple, set, frozenset, dict, deque, str, int})


class _Short(reprlib.Repr):
    """Cuts what is of the very type that it knows; reprlib goes by the name of a class, which anybody may choose."""

    def repr1(self, x: Any, level: int) -> str:
        return super().repr1(x, level) if type(x) in _LAID_OUT else self.repr_instance(x, level)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 500
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxfrozenset = _SHORT.maxdict = _SHORT.maxdeque = 50
_SHORT.maxlevel = 8


def clean(text: str, longest: int = LONGEST) -> str:
    """Return text without control characters or lone surrogates (written as escapes), cut to `longest` characters."""
    cut = text if len(text) <= longest else text[:longest] + f"… ({len(text)} characters)"
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in cut)


def shown(value: Any) -> str:
    """Return a short `repr` of a plain value; large containers and texts are cut."""
    try:
        return clean(_SHORT.repr(value))
    except Exception:  # an int of more digits than Python prints, or whatever else a made-up value brings about
        return f"<{clean(type(value).__name__, 100)}>"


def message_of(error: BaseException) -> str:
    """Return an exception's message, which may hold a value that has no text."""
    try:
        return str(error)
    except Exception:
        return "(a message that cannot be shown)"


def call_text(operation: list[Any] | None, plain: bool = False) -> str | None:
    """Return an operation as Python source, e.g. `add(1, 2)`; its arguments are values if `plain`, else structures."""
    if operation is None:
        return None
    verb, target, arguments = operation[:3]
    try:
        values = arguments if plain else Decoder().decode(arguments)
    except CodecError:
        values = ["..."]
    keywords = {} if plain or len(operation) < 4 else operation[3]
    name = target.get("n") or "result"
    inside = ", ".join([*(shown(value) for value in values), *(f"{key}=..." for key in keywords)])
    return clean(f"{name}({inside})" if verb == "call" else f"{verb} of {name}({inside})")
