"""Inside the program's own process: load the source, make the calls, send each result as a line of typed JSON.

Nothing here is trusted once the program has been loaded: the program shares this interpreter and may change any of
it. All it can gain is to say another plain value on the reply pipe, and what is said there is judged elsewhere.

Operations are JSON lists `[verb, target, arguments, keywords]`; a target is `{"n": name}` (a global of the program),
`{"r": i}` (the result of operation i) or `{"o": handle}`. Replies are JSON lists, one a line, the first for loading:
`["ok"]`, `["v", value]`, `["e", class, built-in ancestor, message, line]` an exception, `["s", message, line]` a
syntax error, `["h", digest]` a value too large to be sent, `["x", reason]` one that cannot be sent at all. `brief` is
`call`, and answers with a digest for flat values longer than BRIEF; `timed` and `timed_brief` note the CPU time for
`spent`.
"""

import gc
import itertools
import operator
import os
import random
import sys
import time
import types
from typing import Any

from sandbox.guest.codec import CodecError, TooLarge, dumps, encode_text
from sandbox.guest.decoding import Decoder, loads
from sandbox.guest.digests import digest, digest_of_flat, is_longer

REPLY_FD = 3
OPERATION_FD = 4
LOADED = '["ok"]'
SET_UP = b"+"  # said on the reply pipe before the program's first line runs, taken off by the guest
MODULE_NAME = "solution"
FILE_NAME = "solution.py"
BRIEF = 1 << 12
_MAX_ITEMS = 1_000_000
_REFERENCES = (b'{"r":', b'{"o":')  # within a text, quotes are escaped
_TIMED = frozenset({"timed", "timed_brief"})
_BRIEF = frozenset({"brief", "timed_brief"})
_REHEARSALS = 20
_REHEARSED = """
from typing import List
import math

def f(values: List[float], pair) -> List[float]:
    \"\"\"A docstring.\"\"\"
    found = {}
    for index, value in enumerate(values):
        if value not in found and not isinstance(value, str):
            found[value] = index + math.floor(value) % 3
    return sorted(found.items()) or [value for value in pair]
"""
_LONG = (str, int, list, tuple)


class Plan:
    """Operations made ready before the fork: arguments decoded once for all programs that share the plan."""

    __slots__ = ("kept", "operations")

    def __init__(self, text: bytes) -> None:
        raw = loads(text)
        self.kept: set[int] = set()
        refers = any(mark in text for mark in _REFERENCES)
        if refers:
            for _verb, target, arguments, keywords in raw:
                _references([target, arguments, list(keywords.values())], self.kept)
        decoder = Decoder()
        self.operations: list[Any] = []
        if text.count(b"{") == 2 * len(raw):  # those of targets and keywords: all arguments are what JSON makes of them
            self.operations += [(*operation, True) for operation in raw]
            return
        for verb, target, arguments, keywords in raw:
            if refers and _references([arguments, list(keywords.values())], set()):
                self.operations.append((verb, target, arguments, keywords, False))
            else:
                plain = {name: decoder.decode(value) for name, value in keywords.items()}
                self.operations.append((verb, target, decoder.decode(arguments), plain, True))


def _references(structure: Any, found: set[int]) -> set[int]:
    """Collect the indices of `{"r": i}` and note handles `{"o": h}` (as -1) anywhere in a structure."""
    stack = [structure]
    while stack:
        item = stack.pop()
        if type(item) is list:
            stack.extend(child for child in item if type(child) in (list, dict))
        elif type(item) is dict:
            if "r" in item:
                found.add(item["r"])
            elif "o" in item:
                found.add(-1)
            else:
                stack.extend(child for child in item.values() if type(child) in (list, dict))
    return found


class Child:
    """The calls on one program: its namespace, the objects that it keeps for later operations."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.objects: list[Any] = []
        self.results: dict[int, Any] = {}
        self.names: dict[str, Any] = {}
        self.namespace: dict[str, Any] = {}
        self.spent: list[float] = []  # of the calls asked for with "timed": seconds, reply included
        self.decoder = Decoder(lambda handle, _: self.objects[handle], self.results.__getitem__)

    def keep(self, value: Any) -> int:
        self.objects.append(value)
        return len(self.objects) - 1

    def load(self, source: str) -> str:
        """Execute the source as a module of its own and return the reply to that: LOADED, or what is wrong."""
        module = types.ModuleType(MODULE_NAME)
        sys.modules[MODULE_NAME] = module
        self.namespace = module.__dict__
        try:
            code = compile(source, FILE_NAME, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError) as error:
            return dumps(["s", f"{type(error).__name__}: {error}"[:500], getattr(error, "lineno", None)])
        try:
            exec(code, self.namespace)  # noqa: S102  (the whole purpose of this process)
        except BaseException as error:
            return describe(error)
        return LOADED

    def perform(self, index: int, operation: Any) -> str:
        """Make one operation and return its reply."""
        verb = operation[0]
        if verb == "brief" or verb == "call":
            return self.answer(index, operation)
        if verb in _TIMED:  # for programs that are trusted to say so
            start = time.process_time()
            line = self.answer(index, operation)
            self.spent.append(time.process_time() - start)
            return line
        if verb == "spent":
            return '["v",' + encode_text(self.spent) + "]"
        return self.answer(index, operation)

    def answer(self, index: int, operation: Any) -> str:
        value = None
        verb, target, arguments, keywords, ready = operation
        try:
            if not ready:
                arguments = self.decoder.decode(arguments)
                keywords = {name: self.decoder.decode(value) for name, value in keywords.items()}
            value = _VERBS[verb](self.resolve(target), *arguments, **keywords)
            if index in self.plan.kept:
                self.results[index] = value
            if verb in _BRIEF and type(value) in _LONG and is_longer(value, BRIEF):
                found = stand_in_if_flat(value)
                if found is not None:
                    return found
            return '["v",' + encode_text(value, self.keep) + "]"
        except TooLarge:
            return stand_in(value)
        except CodecError as error:
            return dumps(["x", str(error)[:500]])
        except BaseException as error:
            return describe(error)

    def resolve(self, target: Any) -> Any:
        if "n" not in target:
            return self.decoder.decode(target)
        name = target["n"]
        if name not in self.names:  # bound once, as a test that takes the function does
            if name not in self.namespace:
                raise NameError(f"name {name!r} is not defined")
            self.names[name] = self.namespace[name]
        return self.names[name]


def _call(function: Any, /, *arguments: Any, **keywords: Any) -> Any:
    return function(*arguments, **keywords)


_VERBS: dict[str, Any] = {
    "call": _call,
    "brief": _call,
    "timed": _call,
    "timed_brief": _call,
    "get": getattr,
    "set": setattr,
    "item": operator.getitem,
    "iter": lambda value: list(itertools.islice(value, _MAX_ITEMS)),
    "len": len,
    "bool": bool,
    "value": lambda value: value,
}


def stand_in(value: Any) -> str:
    """Return the reply for a value that is too large to be sent: its digest, if it can be had."""
    try:
        return dumps(["h", digest(value)])
    except BaseException as error:
        return dumps(["x", str(error)[:500]])


def stand_in_if_flat(value: Any) -> str | None:
    """Return the reply for a long value that a digest can stand for, None for any other."""
    try:
        found = digest_of_flat(value)
    except BaseException as error:
        return dumps(["x", str(error)[:500]])
    return None if found is None else dumps(["h", found])


def describe(error: BaseException) -> str:
    """Return the reply for an exception: class, nearest built-in ancestor, message and line in the program."""
    kind = type(error)
    ancestor = next((base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"), "Exception")
    try:
        message = str(error)[:500]
    except BaseException:
        message = ""
    line = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    try:
        return dumps(["e", str(kind.__name__)[:100], ancestor, message, line])
    except BaseException:
        return '["e","Exception","Exception","",null]'


def reply(text: str, fd: int = REPLY_FD) -> None:
    """Write one line to the reply pipe, whole."""
    line = text.encode("ascii") + b"\n"
    while line:
        line = line[os.write(fd, line) :]


def rehearse() -> None:
    """Run a program of our own in this process, so that no fork has to make what Python makes at first use."""
    plan = Plan(dumps([["call", {"n": "f"}, [[1, 2.5, "a"], {"t": [None, True]}], {}]] * 2).encode())
    with open(os.devnull, "wb") as nowhere:
        for _ in range(_REHEARSALS):
            random.seed(0)
            child = Child(plan)
            reply(child.load(_REHEARSED), nowhere.fileno())
            for index, operation in enumerate(plan.operations):
                reply(child.perform(index, operation), nowhere.fileno())
    del sys.modules[MODULE_NAME]


def serve(source: bytes, plan: Plan, interactive: bool) -> None:
    """Run one program to the end of its calls; never returns to the caller's code, the process ends here."""
    try:
        gc.enable()
        random.seed(0)  # a fork would start from the operating system's entropy: verdicts must not depend on it
        child = Child(plan)
        loaded = child.load(source.decode("utf-8", "surrogatepass"))
        reply(loaded)
        if loaded == LOADED:
            perform = child.perform
            for index, operation in enumerate(plan.operations):
                reply(perform(index, operation))
            if interactive:
                _converse(child, len(plan.operations))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(0)


def _converse(child: Child, index: int) -> None:
    """Answer operations that arrive one by one until there are no more."""
    with open(OPERATION_FD, "rb", buffering=0, closefd=False) as raw:
        pending = b""
        while chunk := raw.read(65536):
            pending += chunk
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                verb, target, arguments, keywords = loads(line)
                reply(child.perform(index, (verb, target, arguments, keywords, False)))
                index += 1
