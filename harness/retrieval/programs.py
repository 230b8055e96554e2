"""Programs as documents: without what says in words what they do, under other names, and in other words.

What is made here does the same as what it was made of, but for names that programs look up as texts (`globals()["f"]`).
"""

from __future__ import annotations

import ast
import builtins
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from harness.benchmarks.ladder.mutants import mutants
from harness.syntax import parse_source

FUNCTION = "f"  # what functions are called whose names would say what they do
_TELLING = frozenset({"operator", "method", "negated condition", "and for or", "constant + 1", "dropped condition"})
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
    ast.Eq: ast.Eq,
    ast.NotEq: ast.NotEq,
}
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordlessFunction:
    """A function's source under the name `f` without its words, and its docstring up to the first example."""

    name: str
    code: str
    words: str


def digest_order(text: str) -> str:
    """Return by what to sort texts into an order that is the same everywhere and means nothing."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def without_words(tree: ast.AST) -> str:
    """Return a program's source without comments, docstrings and other texts that stand alone. Changes the tree."""
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED):
            kept = [item for item in node.body if not _is_text(item)]
            node.body = kept or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def description_of(program: str, entry_point: str) -> str:
    """Return the first text that stands alone in a function, up to its first example, as one line.

    That is its docstring, but for HumanEval/115, which imports something before. Raises SyntaxError.
    """
    for node in ast.walk(parse_source(program)):
        if isinstance(node, _Function) and node.name == entry_point:
            texts = [
                ast.literal_eval(item.value) for item in node.body if isinstance(item, ast.Expr) and _is_text(item)
            ]
            return " ".join(texts[0].split(">>>")[0].split()) if texts else ""
    return ""


def anonymous(program: str, entry_point: str) -> str:
    """Return a program without words, its function under the name `f`. Raises SyntaxError."""
    tree = parse_source(program)
    return without_words(_Renamed({entry_point: FUNCTION}).visit(tree))


def near_misses(program: str, most: int) -> list[str]:
    """Return programs that differ from one in one place, which changes what they do as far as can be seen."""
    return [ast.unparse(one.tree) for one in islice(mutants(program, _TELLING), most)]


def clone_of(program: str) -> str:
    """Return another text of a function: local names are others, comparisons are mirrored, branches swapped."""
    tree = parse_source(program)
    names = {name: f"v{place}" for place, name in enumerate(sorted(local_names(tree)), 1)}
    functions = [node.name for node in tree.body if isinstance(node, _Function)]
    names |= dict.fromkeys(functions, FUNCTION)
    return ast.unparse(ast.fix_missing_locations(_Rephrased().visit(_Renamed(names).visit(tree))))


def with_plain_names(program: str) -> str:
    """Return a program whose variables are called v1, v2, ... as they come: programs alike are then the same text."""
    tree = parse_source(program)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    met = dict.fromkeys(node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in bound)
    return ast.unparse(_Renamed({name: f"v{place}" for place, name in enumerate(met, 1)}).visit(tree))


def local_names(tree: ast.AST) -> set[str]:
    """Return the names that functions bind, without those that they share, import, or may be called by."""
    found: set[str] = set()
    shared: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.arguments):
            named = [*node.posonlyargs, *node.args, *filter(None, [node.vararg, node.kwarg])]
            found |= {argument.arg for argument in named}
            shared |= {argument.arg for argument in node.kwonlyargs}
        elif isinstance(node, ast.ExceptHandler) and node.name:
            shared.add(node.name)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            shared |= set(node.names)
        elif isinstance(node, ast.alias):
            shared.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.keyword) and node.arg:
            shared.add(node.arg)
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            shared.add(node.name)
    return found - shared - set(dir(builtins)) - {"self", "cls"}


class _Renamed(ast.NodeTransformer):
    """Gives names others, wherever they are read, bound or defined."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.arg = self._names.get(node.arg, node.arg)
        self.generic_visit(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.name = self._names.get(node.name, node.name)
        self.generic_visit(node)
        return node


class _Rephrased(ast.NodeTransformer):
    """Mirrors comparisons (a < b, b > a) and swaps the branches of an if that has two."""

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        self.generic_visit(node)
        mirrored = _MIRRORED.get(type(node.ops[0])) if len(node.ops) == 1 else None
        sides = (node.left, *node.comparators)
        if mirrored and all(isinstance(side, ast.Name | ast.Constant | ast.Attribute) for side in sides):
            return ast.Compare(node.comparators[0], [mirrored()], [node.left])
        return node

    def visit_If(self, node: ast.If) -> ast.If:
        self.generic_visit(node)
        if node.orelse and not isinstance(node.orelse[0], ast.If):
            return ast.If(ast.UnaryOp(ast.Not(), node.test), node.orelse, node.body)
        return node


def functions_of(source: str) -> Iterator[_Function]:
    """Yield the functions of a module and the methods of its classes. Nothing of what does not parse."""
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef):
            yield from (item for item in node.body if isinstance(item, _Function))


def wordless_functions(source: str) -> Iterator[WordlessFunction]:
    """Yield the functions and methods of a program apart from what they say in words; none of what does not parse."""
    for node in functions_of(source):
        name, words = node.name, " ".join((ast.get_docstring(node) or "").split(">>>")[0].split())
        node.decorator_list = []
        code = without_words(_Renamed({name: FUNCTION}).visit(node))
        yield WordlessFunction(name=name, code=code, words=words)
