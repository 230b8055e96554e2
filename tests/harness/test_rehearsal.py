"""Rehearsals: which operations the tests of a task plan, before any program has been seen."""

from __future__ import annotations

import textwrap
import time
from typing import Any

import pytest

from harness.benchmarks import load_benchmark
from harness.records import CheckTests
from harness.rehearsal import MAX_OPERATIONS, Anything, Plan, Rehearsal, RehearsalOver, encode_operation
from harness.suite import Suite
from sandbox import CodecError, loads


def planned(source: str, *names: str, helpers: str = "") -> list[object]:
    """Return the operations that tests of `names` (`f` unless told) plan."""
    tests = CheckTests(source=textwrap.dedent(source), remote_names=names or ("f",), helpers=textwrap.dedent(helpers))
    return list(Suite(tests).plan.operations)


def call(name: str, *arguments: object, **keywords: object) -> list[object]:
    return ["call", {"n": name}, list(arguments), keywords]


def test_calls_of_a_check_are_planned_in_order() -> None:
    source = """
        METADATA = {"author": "x"}
        def check(candidate):
            assert candidate([1.0, 2.5], 0.5) == True
            assert candidate("a", (1, 2)) == "b", "message"
            assert abs(candidate(x=3) - 0.75) < 1e-6
        check(f)
        """
    assert planned(source) == [call("f", [1.0, 2.5], 0.5), call("f", "a", {"t": [1, 2]}), call("f", x=3)]


def test_calls_of_bare_assertions_are_planned_in_order() -> None:
    source = """
        assert f((1, 2)) == {1, 2}
        assert set(f([3])) == set([3])
        assert not f(None)
        assert f(1) in (1, 2) and f(2) is not None
        assert 5 == f(3)
        """
    wanted = [call("f", {"t": [1, 2]}), call("f", [3]), call("f", None), call("f", 1), call("f", 2), call("f", 3)]
    assert planned(source) == wanted


def test_objects_are_made_linked_and_passed_back() -> None:
    source = """
        root = Node(1)
        root.left = Node(2)
        root.left.right = Node(4)
        assert f(root, [root.left]) == 7
        assert root.value == 1
        """
    assert planned(source, "f", "Node") == [
        call("Node", 1),
        call("Node", 2),
        ["set", {"r": 0}, ["left", {"r": 1}], {}],
        call("Node", 4),
        ["get", {"r": 0}, ["left"], {}],
        ["set", {"r": 4}, ["right", {"r": 3}], {}],
        ["get", {"r": 0}, ["left"], {}],
        call("f", {"r": 0}, [{"r": 6}]),
        ["get", {"r": 0}, ["value"], {}],
    ]


def test_lists_of_objects_and_their_methods_are_planned() -> None:
    source = """
        assert f([Pair(5, 24), Pair(15, 25)], 2) == 19
        box = Box()
        box.put(3)
        assert box.items() == [3]
        assert Box.limit == 9
        """
    assert planned(source, "f", "Pair", "Box") == [
        call("Pair", 5, 24),
        call("Pair", 15, 25),
        call("f", [{"r": 0}, {"r": 1}], 2),
        call("Box"),
        ["get", {"r": 3}, ["put"], {}],
        ["call", {"r": 4}, [3], {}],
        ["get", {"r": 3}, ["items"], {}],
        ["call", {"r": 6}, [], {}],
        ["get", {"n": "Box"}, ["limit"], {}],
    ]


def test_results_are_passed_back_into_calls() -> None:
    assert planned("assert f(f(1), key=[f(2)]) == 3\n") == [
        call("f", 1),
        call("f", 2),
        call("f", {"r": 0}, key=[{"r": 1}]),
    ]


def test_random_inputs_are_the_same_each_time() -> None:
    source = """
        import random
        import copy
        def check(candidate):
            for _ in range(50):
                values = [random.randint(-9, 9) for _ in range(random.randint(0, 5))]
                random.shuffle(values)
                assert candidate(copy.deepcopy(values)) == sorted(values)
                assert candidate(random.choice("abc"), random.random()) or True
        check(f)
        """
    first = planned(source)
    assert len(first) == 100
    assert len({str(operation) for operation in first}) > 50
    assert planned(source) == first
    assert planned(source.replace("import random", "from random import random as r; import random")) == first


def test_helpers_run_on_this_side_and_may_call_the_candidate() -> None:
    helpers = """
        import math
        def twice(x):
            return 2 * x
        def f(x):
            '''To be completed.'''
        """
    source = """
        def check(candidate):
            assert candidate(twice(4)) == math.sqrt(twice(2))
            assert twice(candidate(1)) == 2
        check(f)
        """
    assert planned(source, helpers=helpers) == [call("f", 8), call("f", 1)]


def test_a_test_that_names_the_entry_point_itself_is_planned() -> None:
    source = "def check(candidate):\n    assert tuple(candidate([1])) == tuple(f([1]))\ncheck(f)\n"
    assert planned(source) == [call("f", [1]), call("f", [1])]


def test_nothing_that_a_test_does_with_a_result_needs_its_value() -> None:
    source = """
        assert f(1)[0] == 1 and len(f(2)) == 0 and sorted(f(3)) == [] and f(4) < 5 < f(5)
        assert round(f(6), 2) == -f(7) + 3 * f(8) - 1 and int(f(9)) == 0 and 1.5 < float(f(10)) + 2
        assert {f(11): 1} and [*f(12)] == [] and f"{f(13)}" == "" and list(map(f, [14, 15]))
        assert f(16).lower().split()[0] == "x"
        assert all(x == y for x, y in zip(f(17), [1]))
        assert isinstance(f(18), list) or f(19) is None or 3 in f(20)
        a, b = f(21)
        """
    numbers = [operation[2][0] for operation in planned(source) if operation[:2] == ["call", {"n": "f"}]]  # type: ignore[index]
    assert numbers[:17] == list(range(1, 18))
    assert numbers[-1] == 21


def test_an_assertion_that_cannot_be_rehearsed_ends_alone() -> None:
    source = "assert {}['no such key'] == f(1)\nassert f(2) == 1 / 0\nassert f(lambda: 3) == 3\nassert f(4) == 4\n"
    assert planned(source) == [call("f", 2), call("f", 4)]


def test_what_was_planned_until_the_tests_broke_is_the_plan() -> None:
    assert planned("assert f(1) == 1\nraise KeyError\nassert f(2) == 2\n") == [call("f", 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "while f(1):\n    pass\n",
        "while f(1) != 5:\n    pass\n",
        "x = f(1)\nwhile True:\n    x = x + 1\n",
        "x = f(1)\nwhile not x == None and x:\n    x = x.next\n",
        "while True:\n    f(2)\n",
    ],
)
def test_a_rehearsal_without_end_stops(source: str) -> None:
    start = time.monotonic()
    operations = planned(source)
    assert 1 <= len(operations) <= MAX_OPERATIONS
    assert operations[0] in (call("f", 1), call("f", 2))
    assert time.monotonic() - start < 5


def test_the_limit_ends_a_rehearsal_even_where_tests_catch_everything_else() -> None:
    source = "while True:\n    try:\n        f(1)\n    except Exception:\n        pass\n"
    assert len(planned(source)) == MAX_OPERATIONS


def test_a_rehearsal_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    planned("print('tests', f(1))\nassert f(2) == 2\n", helpers="print('helpers')\n")
    assert capfd.readouterr() == ("", "")


def test_the_stand_in_answers_to_every_operator() -> None:
    it: Any = Anything(Rehearsal(), 0)
    for result in (
        it + 1,
        1 - it,
        it * 2,
        2 / it,
        it // 2,
        it % 2,
        it**2,
        it | 1,
        it & 1,
        it ^ 1,
        it << 1,
        -it,
        +it,
        ~it,
    ):
        assert isinstance(result, Anything)
    for result in (abs(it), round(it), it[0], it["x"], it[1:2]):
        assert isinstance(result, Anything)
    assert (len(it), list(it), str(it), int(it), float(it), bool(it)) == (0, [], "", 0, 0.0, True)
    assert it == 1
    assert it != 1
    assert it < 1 < it
    assert 3 in it
    with pytest.raises(AttributeError):
        _ = it.__wrapped__


def test_steps_are_bounded_as_well_as_operations() -> None:
    it: Any = Anything(Rehearsal(), 0)
    with pytest.raises(RehearsalOver):
        next(step for step in iter(lambda: bool(it), False) if not step)


def test_the_plans_text_is_the_operations() -> None:
    operations = [encode_operation("call", {"n": "f"}, [1, (2, "\ud800")], {"k": {3}})]
    plan = Plan(operations)
    assert loads(plan.text) == operations
    assert [loads(text) for text in plan.texts] == operations
    assert plan.has_references == [False]
    assert Plan([["get", {"r": 0}, ["x"], {}]]).has_references == [True]
    assert Plan([]).text == b"[]"


def test_an_argument_without_a_plain_form_is_refused() -> None:
    with pytest.raises(CodecError):
        encode_operation("call", {"n": "f"}, [object()], {})


def test_every_task_of_humaneval_is_planned() -> None:
    for task in load_benchmark("humaneval").tasks:
        assert isinstance(task.tests, CheckTests)
        suite = Suite(task.tests)
        assert suite.expected > 0, task.task_id
        assert len(suite.plan.operations) > 0, task.task_id
        assert {operation[1]["n"] for operation in suite.plan.operations} == {task.entry_point}
