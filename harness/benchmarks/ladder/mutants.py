"""Wrong programs made from right ones: each mutant differs from the program in one place.

The tests of the ladder are chosen to fail them, and are measured by how many they fail. Covered are operators,
comparisons, numbers and texts, conditions and branches, slices and ranges, the order of arguments, statements and
methods.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong program, perhaps: `kind` says what was changed. The tree is the mutant's own."""

    kind: str
    tree: ast.Module


_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.Sub),
    ast.FloorDiv: (ast.Mult, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult, ast.Add),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE, ast.LtE),
    ast.NotEq: (ast.Eq, ast.Gt, ast.Lt),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_NAMES = {
    "max": "min",
    "min": "max",
    "sum": "len",
    "len": "sum",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "set": "list",
    "abs": "int",
    "upper": "lower",
    "capitalize": "upper",
    "startswith": "endswith",
    "endswith": "startswith",
    "isdigit": "isalpha",
    "isalpha": "isdigit",
    "count": "find",
}
_REMOVABLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.Break, ast.If, ast.For, ast.While)


def mutants(program: str, kinds: Container[str] | None = None) -> Iterator[Mutant]:
    """Yield the mutants of a program (of some kinds alone, if any are named), each once, always in the same order."""
    whole = ast.parse(program)
    seen = {ast.dump(whole)}
    changes = [[kind for kind, _ in _changes(node)] for node in ast.walk(whole)]
    for place, found in enumerate(changes):
        for number, wanted in enumerate(found):
            if kinds is not None and wanted not in kinds:
                continue
            tree = ast.parse(program)  # a tree of its own for each, since changing one is done in place
            node = list(ast.walk(tree))[place]
            kind, new = list(_changes(node))[number]
            _Replace(node, new).visit(tree)
            if (dump := ast.dump(tree)) not in seen:
                seen.add(dump)
                yield Mutant(kind, ast.fix_missing_locations(tree))


class _Replace(ast.NodeTransformer):
    """Puts one node in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old, self._new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self._old:
            return ast.copy_location(self._new, node)
        return self.generic_visit(node)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what can stand in the place of a node, with the kind of the change."""
    if isinstance(node, ast.BinOp):
        for operator in _OPERATORS.get(type(node.op), ()):
            yield "operator", ast.BinOp(node.left, operator(), node.right)
        yield "swapped operands", ast.BinOp(node.right, node.op, node.left)
        yield "dropped operand", node.left
        yield "dropped operand", node.right
    elif isinstance(node, ast.AugAssign):
        for operator in _OPERATORS.get(type(node.op), ()):
            yield "operator", ast.AugAssign(node.target, operator(), node.value)
        yield "assignment", ast.Assign([node.target], node.value)
    elif isinstance(node, ast.UnaryOp):
        yield "dropped sign", node.operand
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for comparison in _COMPARISONS.get(type(node.ops[0]), ()):
            yield "comparison", ast.Compare(node.left, [comparison()], node.comparators)
        yield "swapped operands", ast.Compare(node.comparators[0], node.ops, [node.left])
    elif isinstance(node, ast.BoolOp):
        yield "and for or", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for value in node.values:
            yield "dropped condition", value
    elif isinstance(node, ast.Constant):
        yield from _constants(node.value)
    elif isinstance(node, (ast.Call, ast.Attribute, ast.Name)):
        yield from _calls(node)
    elif isinstance(node, (ast.Slice, ast.comprehension)):
        yield from _parts(node)
    if isinstance(node, (ast.If, ast.IfExp)):
        yield "dropped branch", _with_test(node, ast.Constant(True))
        yield "dropped branch", _with_test(node, ast.Constant(False))
        yield "negated condition", _with_test(node, ast.UnaryOp(ast.Not(), node.test))
    if isinstance(node, _REMOVABLE):
        yield "removed statement", ast.Pass()
    if isinstance(node, ast.Break):
        yield "continue for break", ast.Continue()


def _with_test(node: ast.If | ast.IfExp, test: ast.expr) -> ast.AST:
    if isinstance(node, ast.If):
        return ast.If(test, node.body, node.orelse)
    return ast.IfExp(test, node.body, node.orelse)


def _constants(value: object) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(value, bool):
        yield "constant", ast.Constant(not value)
    elif isinstance(value, int):
        yield "constant + 1", ast.Constant(value + 1)
        yield "constant - 1", ast.Constant(value - 1)
    elif isinstance(value, str):
        yield "text", ast.Constant(value[1:] if len(value) > 1 else "e" if value == "a" else "a")
        if len(value) > 1:
            yield "text", ast.Constant(value[:-1])
        elif value:
            yield "text", ast.Constant("")


def _calls(node: ast.Call | ast.Attribute | ast.Name) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.Name):
        if node.id in _NAMES:
            yield "method", ast.Name(_NAMES[node.id], node.ctx)
        return
    if isinstance(node, ast.Attribute):
        if node.attr in _NAMES:
            yield "method", ast.Attribute(node.value, _NAMES[node.attr], node.ctx)
        return
    if len(node.args) == 2:
        yield "swapped arguments", ast.Call(node.func, node.args[::-1], node.keywords)
    if isinstance(node.func, ast.Name) and node.func.id == "range":
        for operator in (ast.Add(), ast.Sub()):
            end = ast.BinOp(node.args[-1], operator, ast.Constant(1))
            yield "range", ast.Call(node.func, [*node.args[:-1], end], [])
    for place in range(len(node.keywords)):
        yield "dropped keyword", ast.Call(node.func, node.args, node.keywords[:place] + node.keywords[place + 1 :])
    if len(node.args) == 1:
        yield "dropped call", node.args[0]
    if isinstance(node.func, ast.Attribute):
        yield "dropped call", node.func.value


def _parts(node: ast.Slice | ast.comprehension) -> Iterator[tuple[str, ast.AST]]:
    if isinstance(node, ast.comprehension):
        if node.ifs:
            yield "dropped condition", ast.comprehension(node.target, node.iter, [], node.is_async)
            negated: list[ast.expr] = [ast.UnaryOp(ast.Not(), test) for test in node.ifs]
            yield "negated condition", ast.comprehension(node.target, node.iter, negated, node.is_async)
        return
    yield "slice", ast.Slice(None, node.upper, node.step)
    yield "slice", ast.Slice(node.lower, None, node.step)
    yield "slice", ast.Slice(node.lower, node.upper, None)
    yield "slice", ast.Slice(node.upper, node.lower, node.step)
    if node.lower is None and node.upper is None:
        yield "slice", ast.Slice(ast.Constant(1), None, node.step)
