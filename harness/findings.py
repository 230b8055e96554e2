"""What the tests find in a program's replies: a benchmark's own assertions, or calls compared with the reference's.

Everything here is decided on the trusted side from plain values; how the program's process ended is not known yet.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import Any

from harness.benchmarks.oracles import agrees
from harness.errors import UsageError
from harness.evidence import call_text, clean, message_of, shown
from harness.expected import Expected
from harness.records import CallTests, Evidence, Outcome
from harness.remote import MAX_VALUE_TEXT, Conversation, Diverged, ProgramEnded, Tampered, Unsendable
from harness.suite import Scores, Suite
from sandbox import CodecError, Decoder, Session, loads

_VALUE, _DIGEST, _HANDLE = b'["v"', b'["h"', b'{"o":'
_AGAIN = "when its first call was made again"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the tests found, before it is known what the program used."""

    outcome: Outcome | None  # None: the program ended without an answer, so its end decides
    tests_run: int
    tests_expected: int
    evidence: Evidence
    base_passed: bool | None = None
    wall_cut: bool = False  # the outcome is what the clock on the wall made of it
    again: bool = False  # everything held, but for the first call when it was made again
    exact_passed: bool | None = None  # see Verdict
    exits: dict[str, dict[str, float]] | None = None  # see Verdict


def run_suite(suite: Suite, conversation: Conversation, scores: Scores) -> tuple[Outcome | None, Evidence]:
    """Run the tests to their end or first failure; the outcome is None when the program ended without an answer."""
    try:
        loading = loading_failure(conversation.load())
        if loading is not None:
            return loading
        suite.run(conversation, scores)
    except ProgramEnded:
        return None, Evidence(call=call_text(conversation.last))
    except Tampered as error:
        return Outcome.TAMPERED, Evidence(reason=clean(str(error)), call=call_text(conversation.last))
    except Unsendable as error:
        return _unsendable(str(error)), Evidence(reason=clean(str(error)), call=call_text(conversation.last))
    except Exception as error:  # whatever the benchmark's tests raise over the value that they got
        return _failure(error, conversation, scores)
    if scores.begun == 0:
        raise UsageError("the tests made no assertion, so nothing could be proved")
    return Outcome.PASSED, Evidence()


def run_again(suite: Suite, conversation: Conversation) -> tuple[Outcome | None, Evidence]:
    """Find out whether the first call, made again behind all others, had a reply by which the tests hold as well.

    Of objects of the program's own, and of tests that need replies one by one, only the kind of reply is looked at.
    """
    first, again = conversation.first_and_again()
    if first is None or again == first:
        return Outcome.PASSED, Evidence()
    call = call_text(conversation.first)
    if again is None:
        return None, Evidence(call=call)
    if first[:4] != again[:4]:
        kind, *content = parsed(again[:MAX_VALUE_TEXT])
        if kind == "e" and len(content) == 4:
            return Outcome.ERROR, Evidence(reason=clean(f"{content[0]}: {content[2]} ({_AGAIN})"), call=call)
        return Outcome.FAILED, Evidence(reason=f"another kind of reply ({_AGAIN})", call=call)
    second = conversation.second()
    if again.startswith(_VALUE) and second and not any(_HANDLE in line for line in (first, again)):
        with contextlib.suppress(Diverged):  # later calls are made of the first one's value
            outcome, evidence = run_suite(suite, second, Scores(lenient=False))
            return outcome, replace(evidence, reason=f"{evidence.reason} ({_AGAIN})" if evidence.reason else "")
    return Outcome.PASSED, Evidence()


def _failure(error: Exception, conversation: Conversation, scores: Scores) -> tuple[Outcome, Evidence]:
    call = call_text(conversation.last)
    if error is conversation.raised:
        text = getattr(error, "candidate_text", "exception")
        outcome = Outcome.OUT_OF_MEMORY if isinstance(error, MemoryError) else Outcome.ERROR
        return outcome, Evidence(reason=clean(text), call=call)
    if not isinstance(error, AssertionError):
        reason = f"the test could not use the value: {type(error).__name__}: {message_of(error)}"
        return Outcome.FAILED, Evidence(reason=clean(reason), call=call)
    if scores.sides is None:
        return Outcome.FAILED, Evidence(reason=clean(f"not true: {scores.source}"), call=call)
    actual, expected = scores.sides
    return Outcome.FAILED, Evidence(
        reason=clean(f"assert {scores.source}"), call=call, expected=shown(expected), actual=shown(actual)
    )


def loading_failure(reply: list[Any]) -> tuple[Outcome, Evidence] | None:
    """Return what is wrong if the program could not be loaded."""
    kind, *content = reply
    if kind == "ok":
        return None
    if kind == "s" and len(content) == 2:
        return Outcome.SYNTAX, Evidence(reason=clean(str(content[0])))
    if kind == "e" and len(content) == 4:
        name, _ancestor, message, line = content
        outcome = Outcome.OUT_OF_MEMORY if name == "MemoryError" else Outcome.ERROR
        return outcome, Evidence(reason=clean(f"{name}: {message} (line {line}, while loading)"))
    return Outcome.TAMPERED, Evidence(reason="not a reply to loading")


class ValueNeeded(Exception):
    """A digest does not tell whether a value is right: it is another than the expected one's, or only one is long."""


def compare_all(
    session: Session, tests: CallTests, expected: Expected, whole: bool = True, again: bool = False
) -> tuple[int, Outcome | None, Evidence]:
    """Return how many inputs held before the first that did not, and what became of that one.

    With `again`, the first input comes once more behind the last. Raises ValueNeeded where replies are brief (not
    `whole`) and only the value itself can tell.
    """
    first = session.reply(0)
    if first is None:
        return 0, None, Evidence()
    loading = loading_failure(parsed(first))
    if loading is not None:
        return 0, *loading
    inputs = (*tests.base_inputs, *tests.plus_inputs)
    inputs += inputs[:again]
    for index, right in enumerate((*expected.lines, *expected.lines[:again])):
        line = session.reply(index + 1)
        if line == right and b"NaN" not in line and not tests.oracle:
            continue  # equal texts are equal values
        operation = ["call", {"n": tests.entry_point}, list(inputs[index])]
        if line is None:
            return index, None, Evidence(call=call_text(operation, plain=True))
        if not whole and line.startswith((_VALUE, _DIGEST)) and _DIGEST in (line[:4], right[:4]):
            raise ValueNeeded
        outcome, evidence = _compare(line, right, tests, inputs[index])
        if outcome is not Outcome.PASSED:
            reason = evidence.reason if index < len(expected.lines) else f"{evidence.reason} ({_AGAIN})"
            return index, outcome, replace(evidence, reason=reason, call=call_text(operation, plain=True))
    return len(expected.lines), Outcome.PASSED, Evidence()


def parsed(line: bytes) -> list[Any]:
    """Return the structure of a reply, `["?", ...]` for a line that is none."""
    try:
        structure = loads(line)
    except CodecError as error:
        return ["?", str(error)]
    return structure if type(structure) is list and structure else ["?"]


def _compare(line: bytes, right: bytes, tests: CallTests, arguments: tuple[Any, ...]) -> tuple[Outcome, Evidence]:
    """Compare one reply with the reference's."""
    if len(line) > 16 * len(right) + MAX_VALUE_TEXT:  # whatever its types, it is not equal, and looking could take long
        return Outcome.FAILED, Evidence(reason=f"a value much larger than the right one ({len(line)} bytes)")
    decoder = Decoder()
    actual, problem = value_of(line, decoder)
    if problem is not None:
        return problem
    form, wanted = loads(right)
    if form == "h":
        return Outcome.FAILED, Evidence(reason="the right value is much larger", actual=shown(actual))
    wanted = decoder.decode(wanted)
    if agrees(tests, arguments, wanted, actual):
        return Outcome.PASSED, Evidence()
    return Outcome.FAILED, Evidence(reason="wrong value", expected=shown(wanted), actual=shown(actual))


def value_of(line: bytes, decoder: Decoder) -> tuple[Any, tuple[Outcome, Evidence] | None]:
    """Return the value of a reply, or what a reply without one comes to."""
    kind, *content = parsed(line)
    if kind == "e" and len(content) == 4:
        outcome = Outcome.OUT_OF_MEMORY if content[0] == "MemoryError" else Outcome.ERROR
        return None, (outcome, Evidence(reason=clean(f"{content[0]}: {content[2]}")))
    if kind == "x" and len(content) == 1:
        return None, (_unsendable(str(content[0])), Evidence(reason=clean(str(content[0]))))
    if kind == "h":
        evidence = Evidence(reason="a value too large to be sent, and not the right one by its digest")
        return None, (Outcome.FAILED, evidence)
    if kind != "v" or len(content) != 1:
        return None, (Outcome.TAMPERED, Evidence(reason="not a reply to a call"))
    try:
        return decoder.decode(content[0]), None
    except CodecError as error:
        return None, (Outcome.TAMPERED, Evidence(reason=clean(str(error))))


def _unsendable(reason: str) -> Outcome:
    return Outcome.OUTPUT_LIMIT if "large" in reason else Outcome.FAILED
