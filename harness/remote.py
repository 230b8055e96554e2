"""The candidate as tests see it: proxies whose every use is an operation across the wall.

Plain data goes, plain data comes back; every comparison happens on this side. A `Conversation` matches what the tests
ask with the replies to the rehearsed plan. Where a test asks something that was not planned (its next call depends on
an answer), `Diverged` is raised and the caller runs the program again, operation by operation.
"""

from __future__ import annotations

import builtins
from typing import Any, Protocol

from harness.rehearsal import Plan, encode_operation
from sandbox import CodecError, Decoder, Opaque, Session, dumps, loads

# Tests may do anything with a value, in time that can grow with its square; no test of the benchmarks comes near this.
MAX_VALUE_TEXT = 256 << 10
MAX_LENGTH = 1_000_000
_OPTIONAL = frozenset({"call", "get", "set", "iter", "len", "item", "bool"})


class Diverged(BaseException):
    """The tests want an operation that the plan does not hold."""


class ProgramEnded(BaseException):
    """The program has no more replies."""


class Tampered(BaseException):
    """A reply that the guest's own code does not make."""


class Unsendable(BaseException):
    """The program's value is too large or too deep to be looked at."""


class Driver(Protocol):
    """Where the proxies send their operations."""

    def perform(self, verb: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Make one operation and return its value, or raise what the candidate raised."""


class RemoteName:
    """A global of the candidate program, by name."""

    def __init__(self, driver: Driver, name: str) -> None:
        self._driver = driver
        self._target = {"n": name}

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._driver.perform("call", self._target, list(arguments), keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._driver.perform("get", self._target, [name], {})


class Remote(Opaque):
    """An object of the candidate's own making, by handle. It equals only itself, whatever its class says."""

    __slots__ = ("_driver",)

    def __init__(self, driver: Driver, handle: int, class_name: str) -> None:
        object.__setattr__(self, "handle", handle)
        object.__setattr__(self, "class_name", class_name)
        object.__setattr__(self, "_driver", driver)

    def _perform(self, verb: str, *arguments: Any, **keywords: Any) -> Any:
        target = {"o": [self.handle, self.class_name]}
        return self._driver.perform(verb, target, list(arguments), keywords)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._perform("call", *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._perform("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._perform("set", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._perform("item", key)

    def __iter__(self) -> Any:
        return iter(self._perform("iter"))

    def __len__(self) -> int:
        return _whole_number(self._perform("len"))

    def __bool__(self) -> bool:
        return self._perform("bool") is True


def _whole_number(value: Any) -> int:
    """Return a length that may be believed: `tuple` and `list` make room for as many items at once."""
    if type(value) is not int or not 0 <= value <= MAX_LENGTH:
        raise TypeError("not a length")
    return value


class Conversation:
    """The driver of a real judgement: matches the tests' operations with the replies to the plan.

    `is_second`: the reply to the first call is what came when it was made again, behind all others.
    """

    def __init__(self, session: Session, plan: Plan, interactive: bool, is_second: bool = False) -> None:
        self._session = session
        self._plan = plan
        self._interactive = interactive
        self._is_second = is_second
        self._position = 0
        self._replies: dict[int, Any] = {}  # index of an operation: the structure that it returned
        self._decoder = Decoder(opaque=lambda handle, name: Remote(self, handle, name))
        self.raised: BaseException | None = None
        self.first: list[Any] | None = None
        self.last: list[Any] | None = None

    def load(self) -> list[Any]:
        """Return the reply to loading the program. Raises ProgramEnded or Tampered."""
        return self._read(-1)

    def perform(self, verb: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        self.last = operation = encode_operation(verb, target, arguments, keywords)
        self.first = self.first or operation
        index = self._send(operation) if self._interactive else self._match(operation)
        kind, *content = self._read(index)
        if kind == "v" and len(content) == 1:
            try:
                value = self._decoder.decode(content[0])
            except CodecError as error:
                raise Tampered(str(error)) from None
            self._replies[index] = content[0]
            return value
        if kind == "e" and len(content) == 4:
            self.raised = candidate_exception(content)
            raise self.raised
        if kind in ("x", "h") and len(content) == 1:
            raise Unsendable("value too large" if kind == "h" else str(content[0]))
        raise Tampered(f"a reply of kind {str(kind)[:20]!r}")

    @property
    def is_repeatable(self) -> bool:
        """Whether the first operation was a call."""
        return self.first is not None and self.first[0] == "call"

    def first_and_again(self) -> tuple[bytes | None, bytes | None]:
        """Return the replies to the first operation: to itself, and to making it again, behind all others."""
        last = len(self._plan.texts)
        if self._interactive and self.first:
            last = self._send(self.first)
        return self._session.reply(1), self._session.reply(last + 1)

    def second(self) -> Conversation | None:
        """Return the same conversation with the second reply to the first call; None where it cannot be had afresh."""
        return None if self._interactive else Conversation(self._session, self._plan, interactive=False, is_second=True)

    def _send(self, operation: list[Any]) -> int:
        self._session.send(dumps(operation).encode())
        self._position += 1
        return self._position - 1

    def _match(self, operation: list[Any]) -> int:
        text = dumps(operation)
        plan = self._plan
        while self._position < len(plan.texts):
            index = self._position
            self._position += 1
            if plan.texts[index] == text:
                return index
            if plan.has_references[index]:
                if dumps(self._resolved(plan.operations[index])) == text:
                    return index
                if self._is_moot(plan.operations[index]):
                    continue
            break
        raise Diverged

    def _resolved(self, structure: Any) -> Any:
        """Put what was returned in the place of references to it."""
        if type(structure) is list:
            return [self._resolved(item) for item in structure]
        if type(structure) is dict:
            if "r" in structure:
                return self._replies.get(structure["r"], structure)
            return {tag: self._resolved(content) for tag, content in structure.items()}
        return structure

    def _is_moot(self, operation: list[Any]) -> bool:
        """Whether an operation was only planned for an object that turned out to be plain data."""
        verb, target, _, _ = operation
        if "r" not in target:
            return False
        returned = self._replies.get(target["r"])
        return verb in _OPTIONAL and not (type(returned) is dict and "o" in returned)

    def _read(self, index: int) -> list[Any]:
        if self._is_second and index == 0:
            index = len(self._plan.texts)
        line = self._session.reply(index + 1)
        if line is None:
            raise ProgramEnded
        if len(line) > MAX_VALUE_TEXT:
            raise Unsendable("value too large")
        try:
            structure = loads(line)
        except CodecError as error:
            raise Tampered(str(error)) from None
        if type(structure) is not list or not structure or type(structure[0]) is not str:
            raise Tampered("not a reply")
        return structure


def candidate_exception(content: list[Any]) -> Exception:
    """Return an exception of the built-in class that the candidate's exception derives from."""
    name, ancestor, message, _line = (str(item) for item in content)
    kind = getattr(builtins, ancestor, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError
    try:
        error: Exception = kind(message)
    except TypeError:  # UnicodeDecodeError and its like want more than a message
        error = RuntimeError(message)
    error.candidate_text = f"{name}: {message}" if message else name  # type: ignore[attr-defined]
    return error
