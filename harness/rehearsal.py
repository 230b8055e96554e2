"""Find out beforehand what a task's tests ask of a candidate, so that one program costs one exchange.

The tests run once per task against a stand-in that agrees with everything; each call that they make is recorded as an
operation of the task's `Plan`, which then travels with each program. Covers recording only: matching what a real run
asks with the replies is `harness.remote`'s work, which also handles tests that ask something else than planned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox import Encoder, Opaque, dumps

MAX_OPERATIONS = 20_000
_MAX_STEPS = 200_000


class RehearsalOver(BaseException):
    """The stand-in was used without end."""


class Anything:
    """The stand-in of a rehearsal: the result of operation `index`, whatever it may be."""

    def __init__(self, driver: Rehearsal, index: int) -> None:
        object.__setattr__(self, "_driver", driver)
        object.__setattr__(self, "index", index)

    def _step(self) -> Anything:
        self._driver.step()
        return self

    def _perform(self, verb: str, *arguments: Any, **keywords: Any) -> Any:
        return self._driver.perform(verb, {"r": self.index}, list(arguments), keywords)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._perform("call", *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._perform("get", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._perform("set", name, value)

    def __iter__(self) -> Any:
        self._step()
        return iter(())

    def __deepcopy__(self, memo: Any) -> Anything:
        return self._step()

    def __eq__(self, other: object) -> bool:
        self._step()
        return True

    def __hash__(self) -> int:
        return 0


def _give(value: Any) -> Callable[..., Any]:
    def method(self: Anything, *arguments: Any) -> Any:
        self._step()
        return value

    return method


for _name in ["lt", "le", "gt", "ge", "ne", "bool", "contains"]:
    setattr(Anything, f"__{_name}__", _give(True))
for _name in ["len", "int", "index", "trunc"]:
    setattr(Anything, f"__{_name}__", _give(0))
for _name in ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"]:
    setattr(Anything, f"__{_name}__", lambda self, other: self._step())
    setattr(Anything, f"__r{_name}__", lambda self, other: self._step())
for _name in ["neg", "pos", "abs", "invert", "round", "getitem"]:
    setattr(Anything, f"__{_name}__", lambda self, *others: self._step())
Anything.__float__ = _give(0.0)  # type: ignore[attr-defined]
Anything.__str__ = _give("")  # type: ignore[method-assign]


class _TestEncoder(Encoder):
    """Encodes what tests pass to the candidate: values, its own objects, results of earlier operations."""

    __slots__ = ()

    def _other(self, value: Any, depth: int) -> Any:
        if isinstance(value, Anything):
            return {"r": value.index}
        if isinstance(value, Opaque):
            return {"o": [value.handle, value.class_name]}
        return super()._other(value, depth)


def encode_operation(verb: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> list[Any]:
    """Return an operation as a structure. Raises CodecError for values that have no plain form."""
    encoder = _TestEncoder()
    encoded = {name: encoder.encode(value) for name, value in keywords.items()}
    return [verb, target, [encoder.encode(value) for value in arguments], encoded]


class Rehearsal:
    """A driver that records operations and lets everything be right."""

    def __init__(self) -> None:
        self.operations: list[list[Any]] = []
        self.steps = 0

    def step(self) -> None:
        self.steps += 1
        if self.steps > _MAX_STEPS:
            raise RehearsalOver

    def perform(self, verb: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Anything:
        if len(self.operations) >= MAX_OPERATIONS:
            raise RehearsalOver
        self.operations.append(encode_operation(verb, target, arguments, keywords))
        return Anything(self, len(self.operations) - 1)


class Plan:
    """The operations of a task's tests as rehearsed, and the text that the sandbox is sent.

    `text_again` has the first of them once more at its end, where that is a call.
    """

    def __init__(self, operations: list[list[Any]]) -> None:
        self.operations = operations
        self.texts = [dumps(operation) for operation in operations]
        self.text = f"[{','.join(self.texts)}]".encode()
        self.is_repeatable = bool(operations) and operations[0][0] == "call"
        self.text_again = f"[{','.join([*self.texts, *self.texts[: self.is_repeatable]])}]".encode()
        self.has_references = ['{"r":' in text for text in self.texts]
