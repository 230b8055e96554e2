"""The Code Difficulty Metric: how hard a Python program is by its text, without running it.

Overall Metric = (cyclomatic complexity + Halstead difficulty) / 2, after "Curriculum Learning for Small Code Language
Models" (arXiv 2407.10194). Which program measured Halstead there is not known, and readings differ: `token` counts
punctuation and keywords as operators (a pair of brackets is one, as in Halstead's own counting), names and literals as
operands; `radon` is radon's, which sees arithmetic, boolean and comparison nodes only, so that a loop counts nothing.
Comments, docstrings and layout count in neither.
"""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from harness.syntax import parse_source

_CLOSING = frozenset(")]}")  # each belongs to an opening one, and the two are one operator


class Halstead(StrEnum):
    """A reading of Halstead's difficulty."""

    TOKEN = "token"  # noqa: S105  (a kind of reading, no secret)
    RADON = "radon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What joins the Overall Metric: the reading, and weights per 100 tokens and per unfamiliar construct (0: none)."""

    halstead: Halstead = Halstead.TOKEN
    length: float = 0.0
    unfamiliar: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """The measures of one program. `overall` is the weighted metric; `tokens` the length."""

    cyclomatic: int
    halstead: float
    overall: float
    tokens: int
    unfamiliar: int = 0


def measure(source: str, weights: Weights | None = None, familiar: frozenset[str] = frozenset()) -> Difficulty | None:
    """Return the difficulty of a program, or None when it does not parse. Takes time linear in the text.

    `familiar` are the constructs (see `constructs`) that count as known; it matters only with an `unfamiliar` weight.
    """
    weights = weights or Weights()
    tree = _parsed(source)
    if tree is None:
        return None
    plain = ast.unparse(tree)
    operators, operands = _tokens(plain)
    cyclomatic = _cyclomatic(tree)
    halstead = _radon_halstead(tree) if weights.halstead is Halstead.RADON else _difficulty(operators, operands)
    unfamiliar = len(_constructs(tree) - familiar) if weights.unfamiliar else 0
    tokens = len(operators) + len(operands)
    extra = weights.length * tokens / 100 + weights.unfamiliar * unfamiliar
    return Difficulty(
        cyclomatic=cyclomatic,
        halstead=halstead,
        overall=(cyclomatic + halstead) / 2 + extra,
        tokens=tokens,
        unfamiliar=unfamiliar,
    )


def familiar_constructs(sources: Iterable[str], share: float = 0.1) -> frozenset[str]:
    """Return the constructs that at least this share of the programs use; those that do not parse are left out."""
    counts: dict[str, int] = {}
    programs = 0
    for tree in map(_parsed, sources):
        if tree is None:
            continue
        programs += 1
        for name in _constructs(tree):
            counts[name] = counts.get(name, 0) + 1
    return frozenset(name for name, count in counts.items() if count >= share * programs)


def _constructs(tree: ast.Module) -> set[str]:
    """Return the kinds of syntax and the modules that a program uses."""
    names = {type(node).__name__ for node in ast.walk(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(f"import {node.module}")
    return names


def _parsed(source: str) -> ast.Module | None:
    """Return the program's tree without docstrings, or None."""
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            kept = [item for item in node.body if not _is_text(item)]
            node.body = kept if kept or isinstance(node, ast.Module) else [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _tokens(source: str) -> tuple[list[str], list[str]]:
    """Return operators (punctuation, keywords) and operands (names, literals) in order."""
    operators: list[str] = []
    operands: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.OP or (token.type == tokenize.NAME and keyword.iskeyword(token.string)):
            operators.append(token.string)
        elif token.type in (tokenize.NAME, tokenize.NUMBER, tokenize.STRING):
            operands.append(token.string)
    return operators, operands


def _difficulty(operators: list[str], operands: list[str]) -> float:
    """Return Halstead's difficulty: (n1 / 2) * (N2 / n2); 0 without operands."""
    distinct = len(set(operators) - _CLOSING)
    return distinct / 2 * len(operands) / len(set(operands)) if operands else 0.0


def _radon_halstead(tree: ast.Module) -> float:
    from radon.metrics import h_visit_ast

    return float(h_visit_ast(tree).total.difficulty)


def _cyclomatic(tree: ast.Module) -> int:
    """Return McCabe's complexity of a whole program: 1 + its decisions (radon's rules for what is one)."""
    decisions = 0
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert)):
            decisions += 1
        elif isinstance(node, ast.comprehension):
            decisions += 1 + len(node.ifs)
        elif isinstance(node, ast.BoolOp):
            decisions += len(node.values) - 1
        elif isinstance(node, ast.match_case):
            decisions += not (isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None)
    return 1 + decisions
