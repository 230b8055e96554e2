"""Running the ladder's own programs in this process, with a bound on their steps.

For programs that the generator or its mutator wrote, and for nothing else: what a model wrote belongs in the sandbox.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

MAX_STEPS = 2_000  # turns of all loops of one call; no program of the ladder needs half of that

Function = Callable[..., Any]


class Overrun(Exception):
    """A program has taken too many steps."""


class _Failed:
    """What a call comes to when it raises: equal to nothing that a program returns."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED = _Failed()


class _Count(ast.NodeTransformer):
    """Puts a call of `__step__` at the start of each loop's body."""

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._counted(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._counted(node)

    def _counted(self, node: ast.For | ast.While) -> ast.AST:
        self.generic_visit(node)
        step = ast.Expr(ast.Call(ast.Name("__step__", ast.Load()), [], []))
        node.body.insert(0, ast.fix_missing_locations(ast.copy_location(step, node)))
        return node


def function_of(program: str | ast.Module, name: str) -> Function:
    """Return the function of that name, which raises `Overrun` when it takes too many steps.

    A tree that is given is changed. Raises whatever running the program's top level raises.
    """
    tree = _Count().visit(ast.parse(program) if isinstance(program, str) else program)
    left = [0]

    def step() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Overrun

    namespace: dict[str, Any] = {"__step__": step}
    exec(compile(tree, "<ladder>", "exec"), namespace)  # noqa: S102  (our own program)
    function = namespace[name]

    def bounded(*inputs: Any) -> Any:
        left[0] = MAX_STEPS
        return function(*inputs)

    return bounded


def outcome(function: Function, inputs: Sequence[Any]) -> Any:
    """Return what the function returns for a copy of the inputs, or `FAILED`. Raises `Overrun`."""
    try:
        return function(*map(fresh, inputs))
    except Overrun:
        raise
    except Exception:  # whichever it is, it is what the function does with these inputs
        return FAILED


def fresh(value: Any) -> Any:
    """Return a copy of lists in lists; everything else in the ladder's inputs cannot be changed."""
    return [fresh(item) for item in value] if isinstance(value, list) else value


def passes(function: Function, cases: Sequence[tuple[Sequence[Any], Any]]) -> bool:
    """Whether the function returns what each case (inputs, expected) expects."""
    try:
        return all(outcome(function, inputs) == expected for inputs, expected in cases)
    except Overrun:
        return False


def without_docstring(tree: ast.Module) -> ast.Module:
    """Return the tree with the docstrings of its functions removed, in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def own_names(tree: ast.AST) -> tuple[str, ...]:
    """Return the arguments and variables of a program, in the order in which they appear."""
    own: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            own[node.arg] = None
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own[node.id] = None
    return tuple(own)


class _Rename(ast.NodeTransformer):
    """Gives arguments and variables names by the order in which they appear, and every defined function the same."""

    def __init__(self, tree: ast.AST) -> None:
        functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        self._names = dict.fromkeys(functions, "f") | {name: f"v{place}" for place, name in enumerate(own_names(tree))}

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = "f"  # even where a variable has the same name
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=self._names[node.arg])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node


def normal_form(program: ast.Module) -> str:
    """Return a text that is the same for programs that differ only in names and docstrings. Changes the tree."""
    tree = without_docstring(program)
    return ast.dump(_Rename(tree).visit(tree), annotate_fields=False)
