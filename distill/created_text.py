"""A question as a teacher writes it: the head of a function with its docstring, and calls that are to be its tests.

What a teacher writes is anybody's text. The prompt of a question is run on the trusted side with its tests, so nothing
of the text gets there as it stands: the prompt is written anew from names, a few types and the docstring, and
arguments are literals. Nothing is run here.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from distill.bodies import FENCED
from distill.likeness import tokens_of
from distill.literals import literal
from distill.texts import tree_of

LEAST_INPUTS, MOST_INPUTS = 3, 12
LEAST_WORDS = 5  # of a description, which is compared by 5-grams
_MOST_CHARACTERS = 2_000  # of a description
_NAME_CHARACTERS = 60
_PARAMETERS = 8
_TESTS_NAMES = frozenset({"check", "candidate", "agrees", "actual", "expected"})
_TYPES = {name: name for name in ("bool", "dict", "float", "int", "list", "set", "str", "tuple")}
_TYPES |= {name: name.lower() for name in ("Dict", "List", "Set", "Tuple")}
_HOLDING = frozenset({"dict", "list", "set", "tuple"})


class Fate(StrEnum):
    """What became of a question that a teacher was asked for."""

    ACCEPTED = "accepted"
    UNANSWERED = "unanswered"  # the teacher's time was over
    NO_FUNCTION = "no_function"  # no block of Python with a function in it
    SEVERAL_FUNCTIONS = "several_functions"  # or a class
    ODD_HEAD = "odd_head"  # a name that is taken, or other parameters than plain ones
    NO_DESCRIPTION = "no_description"
    FEW_INPUTS = "few_inputs"
    NEAR_SEED = "near_seed"  # or near a question of an earlier round
    NEAR_TEST = "near_test"
    NEAR_QUESTION = "near_question"  # another one of this round
    NO_AGREEMENT = "no_agreement"  # between the programs that were written for it
    FEW_VALUES = "few_values"  # they agree, on too few inputs with a value
    SAME_VALUE = "same_value"  # they agree on one value for all inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenQuestion:
    """A question that can be asked. `inputs` are the arguments of proposed calls; `description` is its docstring."""

    entry_point: str
    prompt: str
    description: str
    inputs: tuple[tuple[Any, ...], ...]


def read_question(text: str) -> WrittenQuestion | Fate:
    """Return the question in a teacher's text, or why there is none. Never raises."""
    text = text.replace("\r\n", "\n").expandtabs(4)
    trees = [tree_of(textwrap.dedent(block)) for block in FENCED.findall(text)]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    defined = [node for tree in trees if tree for node in tree.body if isinstance(node, kinds)]
    if not defined:
        return Fate.NO_FUNCTION
    function = defined[0]
    if len(defined) > 1 or not isinstance(function, ast.FunctionDef):
        return Fate.SEVERAL_FUNCTIONS
    if not _is_plain(function):
        return Fate.ODD_HEAD
    description = _description_of(function)
    if description is None:
        return Fate.NO_DESCRIPTION
    inputs = _inputs_in(text, function.name, len(function.args.args))
    if len(inputs) < LEAST_INPUTS:
        return Fate.FEW_INPUTS
    prompt = _prompt_of(function, description)
    return WrittenQuestion(entry_point=function.name, prompt=prompt, description=description, inputs=inputs)


def _is_plain(function: ast.FunctionDef) -> bool:
    """Whether a function has a name of its own, and takes plain arguments alone."""
    given = function.args
    others = [*given.posonlyargs, *given.kwonlyargs, given.vararg, given.kwarg, *given.defaults]
    names = [function.name, *(argument.arg for argument in given.args)]
    return (
        not any(others)
        and 1 <= len(given.args) <= _PARAMETERS
        and len(set(names)) == len(names)
        and all(name.isascii() and len(name) <= _NAME_CHARACTERS and name[0] != "_" for name in names)
        and function.name not in _TESTS_NAMES
        and not hasattr(builtins, function.name)
        and not keyword.issoftkeyword(function.name)
    )


def _description_of(function: ast.FunctionDef) -> str | None:
    """Return the docstring up to its examples, whose values nobody has checked; None without anything to go by."""
    docstring = (ast.get_docstring(function) or "").partition(">>>")[0]
    lines = [line.rstrip() for line in docstring.strip().split("\n")]
    text = "\n".join(lines)
    readable = all(character.isprintable() or character == "\n" for character in text)
    return text if readable and len(text) <= _MOST_CHARACTERS and len(tokens_of(text)) >= LEAST_WORDS else None


def _prompt_of(function: ast.FunctionDef, description: str) -> str:
    """Return the head of a function with a docstring, with nothing in it that could do anything when it is run."""
    parameters = [
        f"{argument.arg}: {hint}" if (hint := _type(argument.annotation)) else argument.arg
        for argument in function.args.args
    ]
    hint = _type(function.returns)
    head = f"def {function.name}({', '.join(parameters)}){f' -> {hint}' if hint else ''}:"
    text = description.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    docstring = textwrap.indent(f'"""{text}\n"""', "    ")
    return f"{head}\n{docstring}\n"


def _type(node: ast.expr | None) -> str | None:
    """Return a type hint of built-in types, or None: no other name may be asked for when a prompt is run."""
    match node:
        case ast.Constant(value=None):
            return "None"
        case ast.Name(id=name):
            return _TYPES.get(name)
        case (
            ast.Subscript(value=ast.Name(id="Optional"), slice=held)
            | ast.BinOp(left=held, op=ast.BitOr(), right=ast.Constant(value=None))
        ):
            hint = _type(held) if isinstance(held, ast.Name | ast.Subscript) else None
            return hint and f"{hint} | None"
        case ast.Subscript(value=ast.Name(id=name), slice=held) if _TYPES.get(name) in _HOLDING:
            parts = held.elts if isinstance(held, ast.Tuple) else [held]
            hints = [_type(part) for part in parts]
            return None if None in hints or not hints else f"{_TYPES[name]}[{', '.join(map(str, hints))}]"
    return None


def _inputs_in(text: str, function: str, count: int) -> tuple[tuple[Any, ...], ...]:
    """Return the arguments of the calls of a function that stand on a line of their own, each once."""
    found: dict[str, tuple[Any, ...]] = {}
    for line in text.split("\n"):
        call = line.strip(" >`*-;,0123456789.")
        arguments = _arguments_of(call, function) if call.startswith(f"{function}(") else None
        written = literal(arguments)
        if arguments is not None and written is not None and len(arguments) == count:
            found.setdefault(written, arguments)
        if len(found) == MOST_INPUTS:
            break
    return tuple(found.values())


def _arguments_of(call: str, function: str) -> tuple[Any, ...] | None:
    """Return the positional arguments of a call of a function, if that is all there is, and they are literals."""
    tree = tree_of(call)
    statement = tree.body[0] if tree and len(tree.body) == 1 else None
    node = statement.value if isinstance(statement, ast.Expr) else None
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != function:
        return None
    try:
        return None if node.keywords else tuple(ast.literal_eval(argument) for argument in node.args)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
