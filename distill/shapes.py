"""The shape of a function: its syntax tree without names of its own, docstrings, annotations, comments and layout.

Constants stay: `n % 2` and `n % 3` are two tasks, and whoever copies a program copies its constants. Names that are not
the function's own (built-ins, modules, globals) and attributes stay, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from distill.texts import tree_of

EXCERPT_CHARACTERS = 200
_SKIPPED = frozenset({"ctx", "type_comment", "kind", "returns", "annotation", "type_params", "docstring"})


@dataclass(frozen=True, slots=True)
class Function:
    """A function's shape: the same text for functions that differ in names of their own, docstrings and hints alone."""

    name: str
    shape: str
    nodes: int
    excerpt: str


def functions_of(program: str) -> Iterator[Function]:
    """Yield the functions of a program, nested ones and methods too; none of what is no Python."""
    tree = tree_of(program)
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            try:
                shape = _Shape(node)
                yield Function(node.name, shape.text, shape.nodes, ast.unparse(node)[:EXCERPT_CHARACTERS])
            except (RecursionError, ValueError):  # nested without end, or a number of too many digits
                continue


class _Shape:
    """Writes a function's tree down, with its own names numbered as they appear."""

    def __init__(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._own = {function.name}
        for node in ast.walk(function):
            if isinstance(node, ast.arg):
                self._own.add(node.arg)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._own.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self._own.add(node.name)
            elif isinstance(node, ast.ExceptHandler):
                self._own.add(node.name or "")
        self._numbers: dict[str, str] = {}
        self._written: list[str] = []
        self.nodes = 0
        self._write(function)
        self.text = " ".join(self._written)

    def _name(self, name: str) -> str:
        return self._numbers.setdefault(name, f"v{len(self._numbers)}") if name in self._own else name

    def _write(self, node: ast.AST) -> None:
        self.nodes += 1
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            node = ast.Assign(targets=[node.target], value=node.value)
        self._written.append(type(node).__name__)
        for field, value in ast.iter_fields(node):
            if isinstance(node, ast.keyword) and field == "arg":
                self._written.append(repr(value))  # the callee's name
            elif field not in _SKIPPED:
                self._write_field(field, value)
        self._written.append(";")

    def _write_field(self, field: str, value: object) -> None:
        if isinstance(value, ast.AST):
            self._write(value)
        elif isinstance(value, list):
            self._written.append("[")
            for item in value:
                if not _says_nothing(item):
                    self._write_field(field, item)
            self._written.append("]")
        elif isinstance(value, str) and field in ("id", "arg", "name", "names"):
            self._written.append(self._name(value))
        else:
            self._written.append(repr(value))


def _says_nothing(node: object) -> bool:
    """Whether a statement is a docstring, a `pass` or a bare annotation."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Pass) or (isinstance(node, ast.AnnAssign) and node.value is None)
