"""Suites: a benchmark's own assertions on the trusted side, and what they tell of a failure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from harness.records import CheckTests
from harness.suite import Scores, Suite


class Direct:
    """A driver that calls plain functions of this process."""

    def __init__(self, **functions: Callable[..., Any]) -> None:
        self.functions = functions
        self.calls: list[tuple[str, list[Any], dict[str, Any]]] = []

    def perform(self, verb: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        assert verb == "call"
        self.calls.append((target["n"], arguments, keywords))
        return self.functions[target["n"]](*arguments, **keywords)


def suite_of(source: str, helpers: str = "", names: tuple[str, ...] = ("f",)) -> Suite:
    return Suite(CheckTests(source=textwrap.dedent(source), remote_names=names, helpers=textwrap.dedent(helpers)))


def scored(source: str, f: Callable[..., Any], helpers: str = "") -> Scores:
    """Return the scores of tests that must fail with an AssertionError."""
    scores = Scores(lenient=False)
    with pytest.raises(AssertionError):
        suite_of(source, helpers).run(Direct(f=f), scores)
    return scores


def passed(source: str, f: Callable[..., Any], helpers: str = "") -> Scores:
    scores = Scores(lenient=False)
    suite_of(source, helpers).run(Direct(f=f), scores)
    return scores


THREE = "assert f(1) == 1\nassert f(2) == 2, 'a message'\nassert f(3) == 3\n"


def test_assertions_are_counted_as_they_begin() -> None:
    assert passed(THREE, lambda x: x).begun == 3
    assert scored(THREE, lambda x: 1).begun == 2
    assert suite_of(THREE).expected == 3


def test_assertions_in_functions_and_loops_are_counted_as_they_run() -> None:
    source = """
        def check(candidate):
            for x in range(5):
                assert candidate(x) == x
            if candidate(9):
                assert True
        check(f)
        """
    assert suite_of(source).expected == 6
    assert passed(source, lambda x: x).begun == 6


def test_a_failure_has_both_sides() -> None:
    scores = scored(THREE, lambda x: [x])
    assert (scores.source, scores.sides) == ("f(1) == 1", ([1], 1))


def test_sides_are_told_by_who_made_them_not_by_where_they_stand() -> None:
    assert scored("assert 5 == f(1)\n", lambda x: "mine").sides == ("mine", 5)
    source = "def check(candidate):\n    expected = [2]\n    assert expected == candidate(1)\ncheck(f)\n"
    assert scored(source, lambda x: "mine").sides == ("mine", [2])
    assert scored("assert len(f(1)) == f(2)\n", lambda x: "ab" * x).sides == (2, "abab")


def test_both_sides_are_evaluated_from_left_to_right() -> None:
    driver = Direct(f=lambda x: x)
    source = "log = []\nassert log.append('left') or f(1) == (log.append('right') or 1)\n"
    source += "assert (log.append('expected') or 2) == f(2)\nassert log == ['left', 'right', 'expected']\n"
    suite_of(source).run(driver, Scores(lenient=False))
    assert [arguments for _, arguments, _ in driver.calls] == [[1], [2]]


@pytest.mark.parametrize(
    "source", ["f(0)", "not f(1) == f(1)", "f(1) < 0", "f(1) == 1 == 2", "f(1) != 1", "f(1) is None", "f(1) in []"]
)
def test_other_assertions_have_no_sides_but_their_text(source: str) -> None:
    scores = scored(f"assert {source}\n", lambda x: x)
    assert (scores.sides, scores.source) == (None, source)


def test_sides_belong_to_the_assertion_that_failed() -> None:
    assert scored("assert f(1) == 1\nassert f(2) > 2\n", lambda x: x).sides is None


def test_a_long_assertion_is_cut() -> None:
    assert len(scored(f"assert f(1) == [{'1, ' * 1000}]\n", lambda x: x).source) == 500


def test_an_assertions_message_is_never_evaluated() -> None:
    scored("assert f(1) == 2, 1 / 0\n", lambda x: x)


def test_only_statements_are_rewritten() -> None:
    source = """
        def check(candidate):
            try:
                assert candidate(1) == 2
            except AssertionError:
                pass
            else:
                raise KeyError
            assert candidate(2) == 2
        check(f)
        """
    assert passed(source, lambda x: x).begun == 2


def test_exceptions_of_tests_and_candidates_pass_through() -> None:
    scores = Scores(lenient=False)
    with pytest.raises(ZeroDivisionError):
        suite_of(THREE).run(Direct(f=lambda x: 1 // (2 - x)), scores)
    assert scores.begun == 2


def test_a_test_may_expect_an_exception() -> None:
    source = """
        def check(candidate):
            try:
                candidate(-1)
                assert False
            except ValueError as error:
                assert str(error) == "negative"
        check(f)
        """

    def refuse(x: int) -> None:
        raise ValueError("negative")

    passed(source, refuse)
    assert scored(source, lambda x: None).source == "False"
    with pytest.raises(ZeroDivisionError):
        passed(source, lambda x: 1 / 0)


def test_what_tests_print_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    passed("print('tests')\nassert f(1) == 1\n", lambda x: x, helpers="print('helpers')\n")
    assert capfd.readouterr() == ("", "")


def test_random_starts_afresh_each_time_and_leaves_ours_alone() -> None:
    import random

    source = "import random\nfrom random import randint\n"
    source += "assert f(random.random(), randint(0, 99), random.Random(1).random())\n"
    suite = suite_of(source)
    before = random.getstate()
    drivers = [Direct(f=lambda *x: True) for _ in range(2)]
    for driver in drivers:
        suite.run(driver, Scores(lenient=False))
    assert drivers[0].calls == drivers[1].calls
    assert random.getstate() == before


def test_helpers_are_fresh_for_every_run_and_not_the_candidates() -> None:
    helpers = (
        "seen = []\ndef note(x):\n    seen.append(x)\n    return len(seen)\ndef f(x):\n    return 'the prompt stub'\n"
    )
    suite = suite_of("assert note(f(1)) == 1\n", helpers)
    for _ in range(2):
        suite.run(Direct(f=lambda x: x), Scores(lenient=False))


def test_tests_do_not_see_names_of_the_harness() -> None:
    source = "assert f(1) == 1\nassert 'Suite' not in globals() and 'scores' not in globals() and __name__ == 'tests'\n"
    passed(source, lambda x: x)


def test_a_candidate_that_is_named_like_a_builtin_or_a_helper_is_the_candidate() -> None:
    suite = suite_of("assert sum([1]) == 'mine'\n", helpers="def sum(x):\n    return 'helper'\n", names=("sum",))
    suite.run(Direct(sum=lambda x: "mine"), Scores(lenient=False))


def test_features_of_this_module_do_not_leak_into_the_tests() -> None:
    # `from __future__ import annotations` of the harness must not change how test code is compiled
    passed("def g(x: 1 + 1): pass\nassert g.__annotations__ == {'x': 2}\nassert f(1) == 1\n", lambda x: x)


@pytest.mark.parametrize("source", ["assert (\n", "x = '\0'\n", "return 3\n"])
def test_tests_that_do_not_compile_are_refused(source: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        suite_of(source)
    with pytest.raises((SyntaxError, ValueError)):
        suite_of("assert f(1)\n", helpers=source)
