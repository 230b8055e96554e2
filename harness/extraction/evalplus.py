"""`evalplus-sanitize`, `evalplus-sanitize-prompted`: EvalPlus's sanitizer, of an answer or of prompt and completion.

Source: EvalPlus 0.3.1, sanitize.py. It reads the code with tree-sitter; here it is Python's own parser, which gives the
same text wherever both read a program alike (docs/results.md has how often that is, on real samples).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from harness.extraction.longest_run import longest_run
from harness.extraction.rule import ExtractionRule
from harness.records import Task
from harness.syntax import try_parse

_NAMES = ("id", "attr", "arg", "name", "asname", "module", "names", "rest", "kwd_attrs")  # of nodes: what holds names
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|$)")

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Assignment = ast.Assign | ast.AnnAssign


def sanitize_completion(task: Task, completion: str) -> str:
    """Return what EvalPlus keeps of an answer that is a program by itself, as that of a chat model."""
    return sanitize(completion, task.entry_point)


def sanitize_prompted(task: Task, completion: str) -> str:
    """Return what EvalPlus keeps of a prompt and the completion that goes on with it."""
    return sanitize(task.prompt + completion, task.entry_point)


def sanitize(text: str, entry_point: str) -> str:
    """Return the code in a text: its imports, and the definitions that the entry point needs, in this order.

    Of the longest run of lines that can be parsed, these are kept: imports; the first definition of each name (a class,
    a function with a `return`, an assignment), if it is the entry point or is named, directly or not, by what is kept.
    All else is dropped, decorated definitions and imports from `__future__` as well. Where nothing is kept, the run is
    the result. Never fails, whatever the text, and reads no more of it than `longest_run` does.
    """
    code = longest_run(text)
    lines = code if "\n" in code else code.lstrip()  # a lone line, which nothing before it has indented
    tree = try_parse(lines).tree
    kept = _Source(lines).kept(tree, entry_point).strip() if tree else ""
    return kept or code


class _Source:
    """A program's text, in which nodes of its tree are found."""

    def __init__(self, code: str) -> None:
        self._lines: list[str] = _LINE.findall(code)

    def kept(self, tree: ast.Module, entry_point: str) -> str:
        """Return the text of the imports, and of the definitions that the entry point reaches."""
        imports = [
            self._between(node)
            for node in tree.body
            if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
        ]
        named: dict[str, ast.stmt] = {}
        for node in tree.body:
            if (name := self._defined_by(node)) is not None:
                named.setdefault(name, node)
        reached = _reached(entry_point, {name: _names_in(node) for name, node in named.items()})
        return "\n".join([*imports, *(self._text(node) for name, node in named.items() if name in reached)])

    def _defined_by(self, node: ast.stmt) -> str | None:
        """Return the name that a statement defines, by EvalPlus's rule."""
        if isinstance(node, _Definition):
            returns = isinstance(node, ast.ClassDef) or any(isinstance(one, ast.Return) for one in ast.walk(node))
            return node.name if returns and not node.decorator_list else None
        if not isinstance(node, _Assignment):
            return None
        # The first name that is a side of the assignment by itself: `a.b = c` counts as one of c.
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Name) and _place(target) == _place(node):
            return target.id
        is_only = isinstance(node, ast.AnnAssign) or len(node.targets) == 1
        value = node.value
        return value.id if is_only and isinstance(value, ast.Name) and _end(value) == _end(node) else None

    def _text(self, node: ast.stmt) -> str:
        """Return the text of what is kept of a program."""
        return self._between(node) + (self._tail(node) if isinstance(node, _Definition) else "")

    def _tail(self, node: _Definition) -> str:
        """Return what belongs to a definition behind its last statement: a semicolon, and comments in its body."""
        line, column = _end(node)
        behind = self._lines[line - 1].encode()[column:].decode()
        end = len(behind.removesuffix("\n")) if "#" in behind else behind.rfind(";") + 1
        if node.body[0].lineno == node.lineno:
            return behind[:end]
        width = _width(self._lines[node.body[0].lineno - 1])
        for one in self._lines[line:]:
            if one.lstrip(" \t").startswith("#") and _width(one) >= width:
                end = len(behind) + len(one.removesuffix("\n"))
            elif one.strip():
                break
            behind += one
        return behind[:end]

    def _between(self, node: ast.stmt) -> str:
        """Return the text of a statement, from its first letter to its last."""
        (top, left), (bottom, right) = _place(node), _end(node)
        lines = self._lines[top - 1 : bottom]
        lines[-1] = lines[-1].encode()[:right].decode()
        lines[0] = lines[0].encode()[left:].decode()
        return "".join(lines)


def _place(node: ast.stmt | ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: ast.stmt | ast.expr) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _width(line: str) -> int:
    """Return how far a line is indented, as tree-sitter counts it."""
    return sum(8 if one == "\t" else 1 for one in line[: len(line) - len(line.lstrip(" \t"))])


def _names_in(node: ast.stmt) -> frozenset[str]:
    """Return all names in a statement: of variables, attributes, parameters, keywords, modules."""
    return frozenset(name for one in ast.walk(node) for name in _names_of(one))


def _names_of(node: ast.AST) -> Iterator[str]:
    for field in _NAMES:
        found = getattr(node, field, None)
        for name in found if isinstance(found, list) else [found]:
            if isinstance(name, str):
                yield from name.split(".")


def _reached(entry_point: str, named_in: Mapping[str, frozenset[str]]) -> set[str]:
    reached, left = {entry_point}, [entry_point]
    while left:
        fresh = named_in.get(left.pop(), frozenset()) - reached
        reached |= fresh
        left += fresh
    return reached


_SOURCE = "EvalPlus 0.3.1: sanitize.py"
ALONE = ExtractionRule("evalplus-sanitize", _SOURCE, sanitize_completion)
PROMPTED = ExtractionRule("evalplus-sanitize-prompted", _SOURCE, sanitize_prompted)
