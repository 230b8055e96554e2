"""A benchmark's own assertions, compiled to run on the trusted side against a candidate across the wall.

Tests are the benchmark's code and trusted; the candidate is reached only through `harness.remote`. Their `random`
starts from the same seed each time, so that the same program always meets the same inputs, and what they print is
dropped. Each assertion reports to `Scores`, so that a failure can say what was expected and what came.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import random
import types
from typing import Any

from harness.records import CheckTests
from harness.rehearsal import Plan, Rehearsal, RehearsalOver
from harness.remote import Driver, RemoteName
from harness.syntax import parse_source


class Scores:
    """What the assertions report: how many began, and the two sides of the last comparison."""

    def __init__(self, lenient: bool) -> None:
        self.lenient = lenient
        self.begun = 0
        self.source = ""
        self.sides: tuple[Any, Any] | None = None

    def begin(self, source: str) -> None:
        self.begun += 1
        self.source = source
        self.sides = None

    def equal(self, actual: Any, expected: Any) -> None:
        self.sides = (actual, expected)
        if not actual == expected and not self.lenient:
            raise AssertionError(self.source)

    def equal_swapped(self, expected: Any, actual: Any) -> None:
        """As `equal`, for a test that names the expected value first; keeps the order of evaluation."""
        self.sides = (actual, expected)
        if not expected == actual and not self.lenient:
            raise AssertionError(self.source)

    def true(self, value: Any) -> None:
        if not value and not self.lenient:
            raise AssertionError(self.source)


class _Instrument(ast.NodeTransformer):
    """Rewrites assertions so that they report to `Scores`; in a rehearsal an exception in one ends only that one."""

    def __init__(self, remote_names: tuple[str, ...], lenient: bool) -> None:
        self._remote_names = {*remote_names, "candidate"}
        self._lenient = lenient

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            left, right = test.left, test.comparators[0]
            swapped = self._is_remote(right) and not self._is_remote(left)
            check = _report("equal", [left, right]) if not swapped else _report("equal_swapped", [left, right])
        else:
            check = _report("true", [test])
        begin = _report("begin", [ast.Constant(ast.unparse(test)[:500])])
        statements: list[ast.stmt] = [begin, check]
        if self._lenient:
            handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])
            statements = [begin, ast.Try([check], [handler], [], [])]
        return [ast.fix_missing_locations(ast.copy_location(item, node)) for item in statements]

    def _is_remote(self, node: ast.expr) -> bool:
        return any(isinstance(item, ast.Name) and item.id in self._remote_names for item in ast.walk(node))


def _report(name: str, arguments: list[ast.expr]) -> ast.stmt:
    function = ast.Attribute(ast.Name("__scores__", ast.Load()), name, ast.Load())
    return ast.Expr(ast.Call(function, arguments, []))


class Suite:
    """The compiled tests of one task, and the plan of their operations."""

    def __init__(self, tests: CheckTests) -> None:
        self.remote_names = tests.remote_names
        self._helpers = compile(tests.helpers, "<helpers>", "exec", dont_inherit=True)
        self._strict = self._compile(tests, lenient=False)
        self.plan, self.expected = self._rehearse(self._compile(tests, lenient=True))

    @staticmethod
    def _compile(tests: CheckTests, lenient: bool) -> types.CodeType:
        tree = _Instrument(tests.remote_names, lenient).visit(parse_source(tests.source))
        return compile(tree, "<tests>", "exec", dont_inherit=True)

    def _rehearse(self, code: types.CodeType) -> tuple[Plan, int]:
        driver = Rehearsal()
        scores = Scores(lenient=True)
        with contextlib.suppress(Exception, RehearsalOver):  # what was recorded until then is the plan
            self._execute(code, driver, scores)
        return Plan(driver.operations), scores.begun

    def run(self, driver: Driver, scores: Scores) -> None:
        """Run the tests; returns if every assertion holds. Raises whatever the tests or the driver raise."""
        self._execute(self._strict, driver, scores)

    def _execute(self, code: types.CodeType, driver: Driver, scores: Scores) -> None:
        namespace: dict[str, Any] = {"__name__": "tests", "__builtins__": _builtins(), "__scores__": scores}
        exec(self._helpers, namespace)  # noqa: S102  (the benchmark's own code)
        for name in self.remote_names:
            namespace[name] = RemoteName(driver, name)
        exec(code, namespace)  # noqa: S102


def _builtins() -> dict[str, Any]:
    """Return built-ins for test code: a `random` of its own with a fixed seed, and no printing."""
    seeded: list[types.ModuleType] = []

    def importer(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name != "random":
            return __import__(name, *arguments, **keywords)
        if not seeded:  # few tests want it
            seeded.append(_seeded_random())
        return seeded[0]

    return {**vars(builtins), "__import__": importer, "print": lambda *arguments, **keywords: None}


def _seeded_random() -> types.ModuleType:
    module = types.ModuleType("random")
    generator = random.Random(0)
    for name in random.__all__:
        setattr(module, name, getattr(generator, name, getattr(random, name)))
    return module
