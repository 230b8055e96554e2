"""Asking a server until it answers: what is tried again, how long that is waited for, and what is given up.

Used by `server`. What a server fails to do (too many requests, an error of its own, a cut connection, silence, an
answer that is none) is tried again, and at last the model counts as unavailable; that is never an answer of the
model's. What a server refuses is told apart. The package openai is imported inside functions only.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from harness.errors import ModelUnavailable, UsageError
from harness.evidence import clean
from harness.models.checkpoint import first_line

if TYPE_CHECKING:
    from openai import APIStatusError

Said = TypeVar("Said")

_LOG = logging.getLogger(__name__)
_TRY_AGAIN = frozenset({408, 409, 425, 429})  # and all from 500
_THE_REQUEST = frozenset({400, 413, 422})  # what is wrong is in the request
_THE_KEY = frozenset({401, 403})
_MESSAGE_CHARACTERS = 300
# How a refusal is told that is of a parameter, and which one, where its own field for that does not say it.
_UNSUPPORTED = re.compile(r"unsupported|(?:not|n't) (?:be )?support", re.IGNORECASE)
_PARAMETER = re.compile(r"\b(max_tokens|temperature|top_p|stop|seed)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a server is waited for.

    A request is tried `attempts` times and has `request_seconds` each time; `silences` of these may bring no answer at
    all. The wait before the next begins with `first_wait_seconds` and doubles, up to `longest_wait_seconds`. Where a
    server says how long to wait, that is done; where it says longer than the longest, it is given up.
    """

    request_seconds: float = 600.0
    attempts: int = 8
    silences: int = 3
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0


class Unusable(Exception):
    """An answer that is none. Raised by what `patiently` calls."""


class Refused(UsageError):
    """A server refuses a request. `parameter` is the one that it says it does not support; empty where it is another
    matter.
    """

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


class Denied(ModelUnavailable):
    """A server says that it will not, whatever the request is: a wrong key, no such model, no such endpoint."""


async def patiently(
    ask: Callable[[], Awaitable[Said]], patience: Patience, hidden: Callable[[str], str] = lambda text: text
) -> Said:
    """Return what `ask` returns in the end.

    `hidden` takes secrets out of what a server says. Raises `Refused` when the server refuses the request, `Denied`
    when it refuses any, `ModelUnavailable` when it fails too often.
    """
    from openai import APIError, APIStatusError, APITimeoutError

    silences = 0
    for attempt in range(1, patience.attempts + 1):
        wait = min(patience.first_wait_seconds * 2 ** (attempt - 1), patience.longest_wait_seconds)
        wait *= random.uniform(0.75, 1)  # so that many requests do not come back together
        try:
            async with asyncio.timeout(patience.request_seconds):
                return await ask()
        except (TimeoutError, APITimeoutError):
            silences += 1
            problem = f"no answer within {patience.request_seconds:g} s"
        except Unusable as error:
            problem = f"an answer that is none ({_short(hidden(str(error)))})"
        except APIStatusError as error:
            problem = f"HTTP {error.status_code}: {_short(hidden(message_of(error)))}"
            if error.status_code < 500 and error.status_code not in _TRY_AGAIN:
                raise _refusal(error, problem) from None  # which would show the request, and so the key
            wait = max(wait, _wait_asked_for(error))
            problem += f", and to wait for {wait:.0f} s" if wait > patience.longest_wait_seconds else ""
        except APIError as error:
            problem = _short(hidden(first_line(error.__cause__ or error)))
        if attempt == patience.attempts or silences == patience.silences or wait > patience.longest_wait_seconds:
            break
        _LOG.info("the server failed to answer: %s; asking again in %.1f s", problem, wait)
        await asyncio.sleep(wait)
    raise ModelUnavailable(f"the server failed to answer, {attempt} times; at last: {problem}")


def message_of(error: APIStatusError) -> str:
    """Return what a server says of what it refuses or fails at."""
    said = error.body.get("message") if isinstance(error.body, dict) else None
    return said if isinstance(said, str) else error.message


def _unsupported(error: APIStatusError) -> str:
    """Return the parameter that a refusal is of, of those that are sent; empty where it is of something else."""
    message = message_of(error)
    if error.param == "stop":  # whatever is wrong with it: most often there are too many
        return "stop"
    if not _UNSUPPORTED.search(message):
        return ""
    found = _PARAMETER.fullmatch(str(error.param)) or _PARAMETER.search(message)
    return found[1] if found else ""


def _short(text: str) -> str:
    """Return what a server said as a part of a message of one line."""
    return clean(" ".join(text.split()), _MESSAGE_CHARACTERS)


def _refusal(error: APIStatusError, problem: str) -> UsageError | ModelUnavailable:
    if error.status_code in _THE_REQUEST:
        return Refused(f"the server refuses the request: {problem}", _unsupported(error))
    key = " (the key is read from OPENAI_API_KEY)" if error.status_code in _THE_KEY else ""
    return Denied(f"the server denies access{key}: {problem}" if key else f"the server has no such thing: {problem}")


def _wait_asked_for(error: APIStatusError) -> float:
    """Return the seconds of the header Retry-After, which has a number or a date; 0 without it."""
    text = error.response.headers.get("retry-after", "")
    try:
        return max(float(text), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
