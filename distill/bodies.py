"""The body of a function in whatever a teacher wrote about it, so that it can stand behind the function's prompt.

The text is anybody's and need not be Python: a wrong answer may be no program at all. Nothing is run here.
"""

from __future__ import annotations

import ast
import re
import symtable
from collections.abc import Container, Iterable, Iterator

from distill.texts import tree_of

FENCED = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_DEFINITION = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_INDENT = "    "
_HEAD_CHARACTERS = 4_000
# What the colon at the end of a head is not in: comments, strings and brackets.
_SIGN = re.compile(r"""#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()\[\]{}:\n]""")


def body_in(text: str, function: str, known: Container[str] = ()) -> str | None:
    """Return the lines of a function behind its head and docstring, from the first block of code that has it.

    Without a fence, all of the text is a block. The function ends with its block, or where a line is not indented.
    What it uses of the block beside it (imports, helpers, constants) comes first in the body, where a model that
    continues the prompt would write it, but for names that the prompt has: those are `known`.
    """
    text = text.replace("\r\n", "\n").expandtabs(4)
    blocks = FENCED.findall(text) if "```" in text else [text]
    head = re.compile(rf"^(?:async +)?def +{re.escape(function)}\b", re.MULTILINE)
    for block in blocks:
        if found := head.search(block):
            line = block.count("\n", 0, found.start()) + 1
            tree = tree_of(block)
            ends = [one.end_lineno for one in tree.body if one.lineno == line and one.end_lineno] if tree else []
            body = _body(block[found.start() :], ends[0] - line + 1 if ends else 0)
            beside = _used(block, tree, function, known) if tree and body else ""
            return beside + body if body else None
    return None


def names_bound_by(prompt: str) -> frozenset[str]:
    """Return the names that a prompt gives to what follows it; none of one that is no Python by itself."""
    tree = tree_of(prompt)
    return frozenset(name for one in tree.body for name in _bound(one)) if tree else frozenset()


def _body(code: str, least: int) -> str | None:
    """Return the body of the function with whose head the code begins; it has `least` lines with its head or more."""
    end = _end_of_head(code)
    behind, _, rest = code[end:].partition("\n")
    lines = rest.split("\n")
    least -= code.count("\n", 0, end) + 1
    inside = (place for place, line in enumerate(lines) if place >= least and line.strip() and line[0] != " ")
    lines = lines[: next(inside, len(lines))]
    if behind.strip() and behind.strip()[0] != "#":  # all of the function stands on one line
        return f"{_INDENT}{behind.strip()}\n"
    start = next((place for place, line in enumerate(lines) if line.strip()), len(lines))
    quotes = lines[start].strip()[:3] if start < len(lines) else ""
    if quotes in ('"""', "'''"):
        closes = lines[start].strip().count(quotes) > 1
        ends = (place for place in range(start + 1, len(lines)) if quotes in lines[place])
        start = (start if closes else next(ends, len(lines))) + 1
    body = "\n".join(lines[start:]).strip("\n").rstrip()
    return body + "\n" if body.strip() else None


def _end_of_head(code: str) -> int:
    """Return where the head ends with which the code begins: behind its colon, or with its line if that is missing."""
    depth = 0
    for sign in _SIGN.finditer(code, 0, _HEAD_CHARACTERS):
        if sign[0] in {"(", "[", "{"}:
            depth += 1
        elif sign[0] in {")", "]", "}"}:
            depth -= 1
        elif depth <= 0 and sign[0] in {":", "\n"}:
            return sign.end() if sign[0] == ":" else sign.start()
    return len(code.partition("\n")[0])


def _used(block: str, tree: ast.Module, function: str, known: Container[str]) -> str:
    """Return what a function uses of the statements beside it, indented; nothing of a block that is too odd."""
    try:
        inner: dict[str, set[str]] = {}
        for table in symtable.symtable(block, "block", "exec").get_children():
            inner.setdefault(table.get_name(), set()).update(_globals_in(table))
        offers: dict[str, list[int]] = {}
        for place, one in enumerate(tree.body):
            for name in _bound(one):
                if name != function and name not in known:
                    offers.setdefault(name, []).append(place)
        wanted, taken = list(inner.get(function, ())), set()
        while wanted:
            for place in offers.pop(wanted.pop(), ()):
                if place not in taken:
                    taken.add(place)
                    wanted += _names_in(tree.body[place], inner)
        pieces = [ast.unparse(tree.body[place]) for place in sorted(taken)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return "".join(f"{_INDENT}{line}\n" for piece in pieces for line in piece.split("\n"))


def _bound(one: ast.stmt) -> Iterator[str]:
    """Yield the names that an import, a definition or an assignment gives, as far as it may stand in a function."""
    if isinstance(one, ast.Import):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in one.names)
    elif isinstance(one, ast.ImportFrom) and one.module != "__future__":
        yield from (alias.asname or alias.name for alias in one.names if alias.name != "*")
    elif isinstance(one, _DEFINITION):
        yield one.name
    elif isinstance(one, ast.Assign) or (isinstance(one, ast.AnnAssign) and one.value):
        targets = one.targets if isinstance(one, ast.Assign) else [one.target]
        names = (part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name))
        yield from (name.id for name in names if isinstance(name.ctx, ast.Store))


def _names_in(one: ast.stmt, inner: dict[str, set[str]]) -> Iterator[str]:
    """Yield the names of others that a statement uses; of a definition, those of its body come from `inner`."""
    parts: Iterable[ast.AST] = [one]
    if isinstance(one, _DEFINITION):
        yield from inner.get(one.name, ())
        beside = [value for field, value in ast.iter_fields(one) if field != "body"]
        parts = [part for value in beside for part in (value if isinstance(value, list) else [value])]
    for part in parts:
        if isinstance(part, ast.AST):
            yield from (name.id for name in ast.walk(part) if isinstance(name, ast.Name))


def _globals_in(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    return names.union(*map(_globals_in, table.get_children()))
