"""The candidate as tests see it, over the guest's own child (in this process) or over scripted replies."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any

import pytest
from fakes import FakeSandbox, InProcessSandbox, Script, saying

from harness.judge import Judge
from harness.records import CheckTests, Outcome, Sample, StopReason, Task, Verdict
from harness.remote import (
    MAX_VALUE_TEXT,
    Conversation,
    Diverged,
    ProgramEnded,
    Remote,
    Tampered,
    Unsendable,
    candidate_exception,
)
from harness.suite import Scores, Suite
from sandbox import Limits, Program, loads


def task_of(source: str, names: tuple[str, ...] = ("f",), helpers: str = "") -> Task:
    tests = CheckTests(source=textwrap.dedent(source), remote_names=names, helpers=textwrap.dedent(helpers))
    return Task(task_id="Demo/f", prompt="", entry_point=names[0], reference="", tests=tests)


def judged(sandbox: InProcessSandbox | FakeSandbox, task: Task, program: str = "x") -> Verdict:
    program = textwrap.dedent(program)
    sample = Sample(
        task_id=task.task_id, sample_index=0, completion=program, program=program, stop_reason=StopReason.FILE
    )
    return Judge(sandbox, Limits()).judge(task, sample)


def ways(task: Task, program: str) -> tuple[Verdict, list[str]]:
    """Return the verdict and how the program was run, in turn: as planned, or operation by operation."""
    sandbox = InProcessSandbox()
    verdict = judged(sandbox, task, program)
    return verdict, ["interactive" if started.interactive else "planned" for started in sandbox.started]


# What tests can do with a candidate


def test_a_program_whose_answers_were_foreseen_costs_one_exchange() -> None:
    verdict, runs = ways(task_of("assert f(1) == 2\nassert f(f(2)) == 4\n"), "def f(x):\n    return x + 1\n")
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned"])


def test_plain_results_that_were_planned_as_objects_need_no_second_run() -> None:
    source = "node = make(1)\nnode.next = make(2)\nassert total(node) == 3\nassert total(make(5)) == 5\n"
    program = """
        class make:
            next = None
            def __init__(self, value):
                self.value = value
        def total(node):
            return 0 if node is None else node.value + total(node.next)
        """
    verdict, runs = ways(task_of(source, ("total", "make")), program)
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned"])


def test_operations_that_were_planned_for_an_object_are_moot_for_plain_data() -> None:
    source = "value = f('a b')\nassert value.split() == ['a', 'b']\nassert f('c') == 'c'\n"
    verdict, runs = ways(task_of(source), "def f(x):\n    return x\n")
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned"])


OF_SIZE = "class f:\n    def __init__(self, n):\n        self.n = n\n"
DEPENDENT = {
    "length": ("assert len(f(3)) == 3", OF_SIZE + "    def __len__(self):\n        return self.n\n"),
    "truth": ("assert bool(f(1)) and not f(0)", OF_SIZE + "    def __bool__(self):\n        return self.n > 0\n"),
    "item": ("assert f(3)[1] == 4", OF_SIZE + "    def __getitem__(self, i):\n        return self.n + i\n"),
    "attributes": (
        "assert f(3).n == 3 and f(4).grown(1).n == 5",
        OF_SIZE + "    def grown(self, by):\n        return f(self.n + by)\n",
    ),
    "generator": ("assert list(f(3)) == [0, 1, 2]", "def f(n):\n    yield from range(n)\n"),
    "one call per item": ("for x in f(3):\n    assert f(x) is not None", "def f(n):\n    return list(range(n))\n"),
    "calls until zero": ("x = f(3)\nwhile x > 0:\n    x = f(x)\nassert x == 0", "def f(n):\n    return n - 1\n"),
    "part of a result": ("assert f(f(2)[0]) == [3]", "def f(n):\n    return [n + 0.5] if n == 2 else [3]\n"),
    "unpacking": ("a, b = f(1)\nassert f(a) == [a, b] and b == 2", "def f(n):\n    return [1, 2]\n"),
    "exception": (
        "try:\n    f(0)\n    assert False\nexcept ZeroDivisionError:\n    assert f(2) == 0.5",
        "def f(n):\n    return 1 / n\n",
    ),
}


@pytest.mark.parametrize(("source", "program"), DEPENDENT.values(), ids=list(DEPENDENT))
def test_tests_whose_calls_depend_on_answers_go_operation_by_operation(source: str, program: str) -> None:
    verdict, runs = ways(task_of(source), program)
    assert verdict.outcome is Outcome.PASSED, verdict
    assert runs in (["planned", "interactive"], ["planned"])


def test_a_divergence_falls_back_to_a_fresh_program() -> None:
    program = "calls = []\ndef f(x):\n    calls.append(x)\n    return list(calls)\n"
    verdict, runs = ways(task_of("for x in f(1):\n    assert f(x + 1) == [1, 2]\n"), program)
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned", "interactive"])


def test_a_divergence_does_not_forgive_a_failure() -> None:
    verdict, runs = ways(task_of("for x in f(1):\n    assert f(x) == 3\n"), "def f(x):\n    return [7]\n")
    assert (verdict.outcome, runs) == (Outcome.FAILED, ["planned", "interactive"])
    assert (verdict.evidence.call, verdict.evidence.actual, verdict.evidence.expected) == ("f(7)", "[7]", "3")


def test_values_go_there_and_back_unchanged() -> None:
    helpers = """
        from collections import Counter, namedtuple, deque
        from fractions import Fraction
        P = namedtuple("P", "x y")
        value = [(1, {2}), {"a": None}, Counter("aab"), P(1, [2]), deque([1], 3), Fraction(1, 3), 10**400, b"x"]
        """
    source = "assert f(f(value)) == value\nassert [type(x) for x in f(value)[:3]] == [tuple, dict, Counter]\n"
    verdict, _ = ways(task_of(source, helpers=helpers), "def f(x):\n    return x\n")
    assert verdict.outcome is Outcome.PASSED, verdict


def test_keyword_arguments_arrive_by_name() -> None:
    verdict, _ = ways(
        task_of("assert f(1, b=[2], **{'c': 3}) == [1, [2], 3]\n"), "def f(a, c, b):\n    return [a, b, c]\n"
    )
    assert verdict.outcome is Outcome.PASSED, verdict


def test_objects_equal_themselves_alone_whatever_their_class_says() -> None:
    program = (
        "class f:\n    def __init__(self, n): pass\n    def __eq__(self, other): return True\n    __hash__ = None\n"
    )
    for source in (
        "assert f(1) == f(1)\n",
        "assert f(1) == 1\n",
        "assert f(1) in [1, 2]\n",
        "assert [f(1)] == [f(1)]\n",
    ):
        assert ways(task_of(source), program)[0].outcome is Outcome.FAILED
    assert (
        ways(task_of("x = f(1)\nassert x == x and x in [x] and {x: 1}[x] == 1\n"), program)[0].outcome is Outcome.PASSED
    )


def test_attributes_are_read_and_set_on_the_candidates_side() -> None:
    program = "class f:\n    def __init__(self, n): self.index = n\n"
    verdict, _ = ways(task_of("x = f(3)\nassert x.index == 3\nx.index = 4\nassert x.index == 4\n"), program)
    assert verdict.outcome is Outcome.PASSED, verdict


def test_dunder_attributes_of_a_candidate_stay_on_its_side() -> None:
    program = (
        "class f:\n    def __init__(self, n): pass\n    __float__ = lambda self: 3.0\n    __int__ = lambda self: 3\n"
    )
    assert ways(task_of("assert int(f(1)) == 3\n"), program)[0].outcome is Outcome.FAILED
    assert ways(task_of("assert f(1).__float__() == 3.0\n"), program)[0].outcome is Outcome.FAILED


# What a candidate raises


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        ("ValueError('no')", "ValueError"),
        ("KeyError('no')", "LookupError"),
        ("type('Mine', (ValueError,), {})('no')", "ValueError"),
        ("type('Mine', (KeyError, AttributeError), {})('no')", "KeyError"),
        ("type('Mine', (Exception,), {})('no')", "Exception"),
        ("StopIteration('no')", "StopIteration"),
        ("OSError(2, 'no')", "OSError"),
        ("AssertionError('no')", "AssertionError"),
        ("RecursionError('no')", "RuntimeError"),
        ("TypeError", "TypeError"),
        ("__import__('json').JSONDecodeError('no', '', 0)", "ValueError"),
        ("__import__('decimal').InvalidOperation('no')", "ArithmeticError"),
        ("ExceptionGroup('no', [ValueError()])", "Exception"),
    ],
)
def test_a_test_can_expect_the_candidates_exception(raised: str, caught: str) -> None:
    source = f"try:\n    f(1)\nexcept {caught}:\n    assert True\nelse:\n    assert False\n"
    assert ways(task_of(source), f"def f(x):\n    raise {raised}\n")[0].outcome is Outcome.PASSED


def test_an_exception_that_no_test_expects_is_an_error_with_its_own_name() -> None:
    program = "class Mine(KeyError):\n    pass\ndef f(x):\n    raise Mine('no')\n"
    verdict, _ = ways(task_of("try:\n    f(1)\nexcept ValueError:\n    pass\nassert True\n"), program)
    assert (verdict.outcome, verdict.evidence.reason) == (Outcome.ERROR, "Mine: 'no'")
    assert verdict.evidence.call == "f(1)"


def test_an_assertion_of_the_candidates_own_is_not_the_tests() -> None:
    verdict, _ = ways(task_of("assert f(1) == 1\n"), "def f(x):\n    assert x == 2, 'mine'\n")
    assert (verdict.outcome, verdict.evidence.reason) == (Outcome.ERROR, "AssertionError: mine")


@pytest.mark.parametrize(
    "name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "BaseExceptionGroup"]
)
def test_what_would_end_a_process_cannot_end_the_judge(name: str) -> None:
    arguments = "('no', [KeyboardInterrupt()])" if name.endswith("Group") else "('no')"
    verdict, _ = ways(task_of("assert f(1) == 1\n"), f"def f(x):\n    raise {name}{arguments}\n")
    assert verdict.outcome is Outcome.ERROR
    assert verdict.evidence.reason.startswith(f"{name}: no")


def test_a_candidates_exception_is_one_that_tests_may_catch() -> None:
    for ancestor in dir(__builtins__) if not isinstance(__builtins__, dict) else __builtins__:
        error = candidate_exception(["X", ancestor, "text", 3])
        assert isinstance(error, Exception)
        assert error.candidate_text == "X: text"  # type: ignore[attr-defined]
    assert type(candidate_exception(["X", "no such class", "", None])) is RuntimeError
    assert candidate_exception(["X", "ValueError", "", None]).candidate_text == "X"  # type: ignore[attr-defined]


# The conversation itself


def conversing(source: str, script: Script, interactive: bool = False) -> tuple[Suite, Conversation]:
    suite = Suite(CheckTests(source=source, remote_names=("f",)))
    with FakeSandbox(script).start(Program(source=""), Limits()) as session:
        return suite, Conversation(session, suite.plan, interactive)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('["v",', Tampered),
        ("[]", Tampered),
        ('["z",1]', Tampered),
        ('["v",1,2]', Tampered),
        ('["v",{"z":1}]', Tampered),
        ('["e","X"]', Tampered),
        ('["x","too deep"]', Unsendable),
        ('["h","0"]', Unsendable),
        (f'["v","{"x" * MAX_VALUE_TEXT}"]', Unsendable),
    ],
)
def test_a_reply_that_is_none_is_no_exception_that_tests_could_catch(line: str, error: type[BaseException]) -> None:
    suite, conversation = conversing("try:\n    f(1)\nexcept Exception:\n    pass\nassert True\n", saying(line))
    with pytest.raises(error):
        suite.run(conversation, Scores(lenient=False))
    assert not issubclass(error, Exception)


def test_a_program_that_says_no_more_has_ended() -> None:
    suite, conversation = conversing("assert f(1) == 1\nassert f(2) == 2\n", saying('["v",1]'))
    assert conversation.load() == ["ok"]
    with pytest.raises(ProgramEnded):
        suite.run(conversation, Scores(lenient=False))


def test_a_question_that_was_not_planned_diverges() -> None:
    _, conversation = conversing("assert f(1) == 1\n", saying('["v",1]', '["v",2]'))
    with pytest.raises(Diverged):
        conversation.perform("call", {"n": "f"}, [2], {})


def test_questions_are_answered_in_the_order_of_the_plan() -> None:
    _, conversation = conversing(
        "assert f(1) == 1\nassert f(2) == 2\nassert f(1) == 3\n", saying('["v",1]', '["v",2]', '["v",3]')
    )
    answers = [conversation.perform("call", {"n": "f"}, [x], {}) for x in (1, 2, 1)]
    assert answers == [1, 2, 3]
    with pytest.raises(Diverged):
        conversation.perform("call", {"n": "f"}, [1], {})


def test_a_planned_question_that_was_not_asked_is_not_passed_over() -> None:
    _, conversation = conversing("assert f(1) == 1\nassert f(2) == 2\n", saying('["v",1]', '["v",2]'))
    with pytest.raises(Diverged):
        conversation.perform("call", {"n": "f"}, [2], {})


def test_operations_travel_as_typed_json() -> None:
    asked: list[Any] = []

    def answer(operation: bytes) -> bytes:
        asked.append(loads(operation))
        return b'["v",{"o":[7,"Node"]}]' if len(asked) == 1 else b'["v",null]'

    script = Script(lines=(b'["ok"]',), answer=answer)
    _, conversation = conversing("assert f(1)\n", script, interactive=True)
    node = conversation.perform("call", {"n": "f"}, [(1, 2)], {"k": Counter("a")})
    assert isinstance(node, Remote)
    assert repr(node) == "<Node object>"
    node.left = node
    _ = node.right
    assert asked == [
        ["call", {"n": "f"}, [{"t": [1, 2]}], {"k": {"Counter": [["a", 1]]}}],
        ["set", {"o": [7, "Node"]}, ["left", {"o": [7, "Node"]}], {}],
        ["get", {"o": [7, "Node"]}, ["right"], {}],
    ]


@pytest.mark.parametrize("length", ["-1", "true", "1.0", '"3"', "null", "1099511627776", '{"o":[0,"int"]}'])
def test_a_length_is_a_whole_number_of_sensible_size(length: str) -> None:
    script = Script(lines=(b'["ok"]',), answer=lambda operation: f'["v",{length}]'.encode())
    _, conversation = conversing("assert f(1)\n", script, interactive=True)
    with pytest.raises(TypeError):
        len(Remote(conversation, 0, "X"))


@pytest.mark.parametrize("truth", ["1", '"yes"', "[1]", '{"o":[0,"bool"]}', "null", "false"])
def test_only_true_is_true(truth: str) -> None:
    script = Script(lines=(b'["ok"]',), answer=lambda operation: f'["v",{truth}]'.encode())
    _, conversation = conversing("assert f(1)\n", script, interactive=True)
    assert not Remote(conversation, 0, "X")


def test_what_a_program_prints_of_itself_is_no_operation() -> None:
    """A value shaped like the codec's own tags is data like any other."""
    value = {"r": 0, "o": [0, "x"], "n": "f"}
    source = f"value = {value!r}\nassert f(value) == value\nassert f(f(value)) == value\n"
    verdict, runs = ways(task_of(source), "def f(x):\n    return x\n")
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned"])


def test_a_large_value_is_no_value_for_a_test() -> None:
    program = f"def f(x):\n    return 'x' * {MAX_VALUE_TEXT}\n"
    assert ways(task_of("assert len(f(1)) > 0\n"), program)[0].outcome is Outcome.OUTPUT_LIMIT


def test_references_to_results_are_resolved_to_what_came() -> None:
    source = "x = f(1)\nassert f(x, [x, (x,)], k={'a': x}) == 5\n"
    suite = Suite(CheckTests(source=source, remote_names=("f",)))
    assert suite.plan.operations[1] == [
        "call",
        {"n": "f"},
        [{"r": 0}, [{"r": 0}, {"t": [{"r": 0}]}]],
        {"k": {"d": [["a", {"r": 0}]]}},
    ]
    verdict, runs = ways(task_of(source), "def f(x, *more, k=None):\n    return (3, [x]) if not more else 5\n")
    assert (verdict.outcome, runs) == (Outcome.PASSED, ["planned"])
