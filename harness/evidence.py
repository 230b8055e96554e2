"""Short, harmless texts about untrusted values, for evidence and messages."""

from __future__ import annotations

import reprlib
from typing import Any

from sandbox import CodecError, Decoder

LONGEST = 2000
_SHORT = reprlib.Repr()
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
    except (ValueError, RecursionError):  # an int of more digits than Python prints
        return f"<{type(value).__name__}>"


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
