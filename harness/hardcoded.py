"""Does a program hold the answers of its task's tests by heart? A sign for readers of a report; it decides nothing.

A program that looks its answers up in a table of the public tests is right by every one of them, and no judge can
refuse it. What gives it away is that the values of several tests stand in its source: inputs and expected values in
comparisons, tables and cases. Values do not count that the prompt shows, that the reference holds too, or that occur
in any program (small numbers, short texts); of those, an input together with its answer counts. A table that is
written in another way (computed, encoded, by digests) is not seen.
"""

from __future__ import annotations

import ast
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import CallTests, CheckTests, Task
from harness.syntax import parse_source

FEWEST_VALUES = 3
FEWEST_TESTS = 3  # or both, where only two have values of their own
LEAST_SHARE = 1 / 3  # of the tests that have values of their own
LONGEST_PROGRAM = 64 << 10  # characters
_SMALL = 100  # numbers below it occur in any program
_SHORT = 3  # texts below it, too
_MOST_BITS = 4096
_KEPT_TASKS = 256
_LITERAL = re.compile(r"""['"]|\d""")  # where one may begin
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)

Signs = tuple[frozenset[int], ...]


@dataclass(frozen=True, slots=True)
class _Example:
    """One test as values: the arguments of its calls, and what else stands in it."""

    arguments: tuple[Any, ...]
    expected: tuple[Any, ...]


class Hardcoded:
    """Tells programs that hold their tests' answers from others; keeps what it knows of tasks. Safe to use in threads.

    `answers` gives what the reference of a task with CallTests returns for its base inputs.
    """

    def __init__(self, answers: Callable[[Task], Sequence[Any]]) -> None:
        self._answers = answers
        self._kept: OrderedDict[str, Signs] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, task: Task, program: str) -> bool:
        """Return whether a program that passed holds values of so many of its task's tests that it must know them."""
        behind = len(task.prompt) if program.startswith(task.prompt) else 0
        if len(program) > LONGEST_PROGRAM or not _may_hold_a_table(program, behind):
            return False
        signs = self._signs(task)
        if len(signs) < 2:
            return False
        held = literals_of(program)
        found = [held & of_test for of_test in signs]
        tests, values = sum(map(bool, found)), len(frozenset[int]().union(*found))
        return values >= FEWEST_VALUES and tests >= max(min(FEWEST_TESTS, len(signs)), LEAST_SHARE * len(signs))

    def _signs(self, task: Task) -> Signs:
        with self._lock:
            if task.task_id in self._kept:
                self._kept.move_to_end(task.task_id)
                return self._kept[task.task_id]
        tests, found = task.tests, Signs()
        if isinstance(tests, CheckTests):
            found = signs_of(task, written_examples(tests))
        elif isinstance(tests, CallTests):
            pairs = zip(tests.base_inputs, self._answers(task), strict=False)
            found = signs_of(task, (_Example(arguments, (answer,)) for arguments, answer in pairs))
        with self._lock:
            self._kept[task.task_id] = found
            while len(self._kept) > _KEPT_TASKS:
                self._kept.popitem(last=False)
        return found


def _may_hold_a_table(program: str, behind: int) -> bool:
    literals = _LITERAL.finditer(program, behind)
    return sum(1 for _ in zip(range(FEWEST_VALUES), literals, strict=False)) == FEWEST_VALUES


def written_examples(tests: CheckTests) -> Iterator[_Example]:
    """Yield what stands in each assertion of a benchmark: arguments of the candidate, and other literals."""
    names = {*tests.remote_names, "candidate"}
    for assertion in _nodes(tests.source):
        if not isinstance(assertion, ast.Assert):
            continue
        arguments: list[Any] = []
        expected: list[Any] = []
        nodes: list[ast.AST] = [assertion.test]
        while nodes:
            node = nodes.pop()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                arguments += [value for argument in node.args for value in _value(argument)]
            elif isinstance(node, ast.expr) and (value := _value(node)):
                expected += value
            else:
                nodes.extend(ast.iter_child_nodes(node))
        yield _Example(tuple(arguments), tuple(expected))


def _value(node: ast.expr) -> list[Any]:
    """Return the value of a literal of a benchmark's; nothing where it is none."""
    try:
        return [ast.literal_eval(node)]
    except (*_UNREADABLE, TypeError):
        return []


def signs_of(task: Task, examples: Iterable[_Example]) -> Signs:
    """Return, for each test that has any, the keys of what only one who knows that test would write."""
    prompt, usual = _plain(task.prompt), literals_of(task.reference)
    found: list[frozenset[int]] = []
    for example in examples:
        try:
            keys = _signs_of(example, prompt) - usual
        except _UNREADABLE:  # a number of thousands of digits
            continue
        if keys:
            found.append(keys)
    return tuple(dict.fromkeys(found))


def _signs_of(example: _Example, prompt: str) -> frozenset[int]:
    if not example.arguments:
        return frozenset()
    given = example.arguments if len(example.arguments) > 1 else example.arguments[0]
    if _is_shown(given, prompt):
        return frozenset()
    keys = {_sequence([_key(asked), _key(value)]) for asked in (given, repr(given)) for value in example.expected}
    for value in (given, *example.arguments, *example.expected):
        if not _is_usual(value) and not _is_shown(value, prompt):
            keys |= {_key(value), _key(repr(value))}
    return frozenset(keys)


def _is_usual(value: Any) -> bool:
    """Whether a value may stand in any program."""
    if isinstance(value, int | float):
        is_power = isinstance(value, int) and value & (value - 1) == 0
        return abs(value) < _SMALL or is_power or len(str(abs(value)).strip("0.")) < 2
    return not hasattr(value, "__len__") or len(value) < (_SHORT if isinstance(value, str | bytes) else 2)


def _plain(text: str) -> str:
    return "".join(text.split()).replace('"', "'")


def _is_shown(value: Any, prompt: str) -> bool:
    """Whether a prompt (without its spaces) shows a value, in whatever brackets."""
    text = _plain(repr(value))
    if isinstance(value, list | tuple | set | dict) and value:
        text = text.strip("([{}]),")
    if text not in prompt:  # as of most values; making a pattern takes long
        return False
    return re.search(rf"(?<![\w.]){re.escape(text)}(?!\w)", prompt) is not None


# A key is a hash of a value by its content; lists are tuples, and 1.0 is 1, for so they may stand in a table.


def _key(value: Any) -> int:
    if isinstance(value, list | tuple):
        return _sequence([_key(item) for item in value])
    if isinstance(value, set | frozenset):
        return _unordered([_key(item) for item in value])
    if isinstance(value, dict):
        return _unordered([_sequence([_key(key), _key(item)]) for key, item in value.items()])
    return _scalar(value)


def _scalar(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int:
        return hash(("number", hex(value)))
    return hash((type(value).__name__, value))


def _sequence(keys: list[int]) -> int:
    return hash(("sequence", *keys))


def _unordered(keys: list[int]) -> int:
    return hash(("unordered", *sorted(keys)))


def literals_of(program: str) -> frozenset[int]:
    """Return the keys of all literals in a program, and of pairs of a literal and what is answered for it."""
    keys: dict[ast.AST, int] = {}
    pairs: set[int] = set()
    for node in reversed(_nodes(program)):  # the parts of a literal before the whole
        if (key := _literal(node, keys)) is not None:
            keys[node] = key
        pairs.update(
            _sequence([keys[one], keys[other]]) for one, other in _answers(node) if {one, other} <= keys.keys()
        )
    return frozenset(pairs).union(keys.values())


def _nodes(source: str) -> list[ast.AST]:
    try:
        return list(ast.walk(parse_source(source)))
    except _UNREADABLE:
        return []


def _literal(node: ast.AST, keys: dict[ast.AST, int]) -> int | None:
    """Return the key of a literal, or of the literals that a condition or a pattern compares with."""
    match node:
        case ast.Constant(value) | ast.MatchSingleton(value):
            return _scalar(value)
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as value)):
            return _scalar(-value)
        case ast.Tuple(parts) | ast.List(parts) | ast.MatchSequence(parts) | ast.BoolOp(ast.And(), parts):
            return _sequence([keys[part] for part in parts]) if _are_literal(parts, keys) else None
        case ast.Set(parts):
            return _unordered([keys[part] for part in parts]) if _are_literal(parts, keys) else None
        case ast.Dict(names, parts) if _are_literal([*names, *parts], keys):
            pairs = zip(names, parts, strict=True)
            return _unordered([_sequence([keys[name], keys[part]]) for name, part in pairs if name])
        case ast.Compare(left, [ast.Eq()], [right]):
            return keys.get(right, keys.get(left))
        case ast.MatchValue(part):
            return keys.get(part)
    return None


def _are_literal(parts: Sequence[ast.AST | None], keys: dict[ast.AST, int]) -> bool:
    return all(part in keys for part in parts)


def _answers(node: ast.AST) -> Iterable[tuple[ast.AST, ast.AST]]:
    """Yield pairs of what is asked and what is answered for it: of a table, a condition or a case."""
    match node:
        case ast.Dict(names, parts):
            return [(name, part) for name, part in zip(names, parts, strict=True) if name is not None]
        case ast.IfExp(asked, answer):
            return [(asked, answer)]
        case ast.If(asked, [ast.Return(ast.expr() as answer) | ast.Assign(_, answer), *_]):
            return [(asked, answer)]
        case ast.match_case(asked, _, [ast.Return(ast.expr() as answer) | ast.Assign(_, answer), *_]):
            return [(asked, answer)]
        case ast.Assign([ast.Subscript(_, asked)], answer):
            return [(asked, answer)]
    return []
