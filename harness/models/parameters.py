"""What is sent with a request beside the prompt, and what becomes of a parameter that a server's model does not take.

OpenAI's models that reason call the limit of tokens otherwise and refuse to be sampled; other services know no seed, or
few stop strings. A parameter is left out where that changes nothing: stop strings cut the answer here as well, a
temperature and a top_p of 1 are what a model has that is told none, and what a seed does nobody promises. Else the
refusal stands: no sample is drawn otherwise than `run.json` says.
Source: OpenAI's API reference, "Create chat completion", and its guide to reasoning models.
"""

from __future__ import annotations

from typing import Any

from harness.errors import UsageError
from harness.models.patience import Refused
from harness.models.seam import GenerationSettings

LIMIT, CHAT_LIMIT = "max_tokens", "max_completion_tokens"
_OF_SAMPLING = ("temperature", "top_p")
_BY_ITSELF = 1.0  # either of them, where it is not sent
_WHY = {
    LIMIT: f"{CHAT_LIMIT} is sent for it",
    "stop": "answers are cut here",
    "seed": "no sample is promised to come again",
    **dict.fromkeys(_OF_SAMPLING, "1, which the model has by itself"),
}


class CannotSample(UsageError):
    """A server's model does not let itself be sampled as is wanted."""


def sent(settings: GenerationSettings, seed: int, refused: frozenset[str], *, is_chat: bool) -> dict[str, Any]:
    """Return the parameters of a request to a model that refuses those.

    Raises `CannotSample` where samples would depend on one of them.
    """
    limit = CHAT_LIMIT if is_chat and LIMIT in refused else LIMIT
    parameters: dict[str, Any] = {
        limit: settings.most_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": seed,
    }
    for name in refused.intersection(_OF_SAMPLING):
        _see_that_it_is_its_own(name, parameters[name])
    # A server looks for stop strings in the thinking, too (vLLM does, also where it takes the thinking out).
    if settings.stop and not settings.reasoning.thinks:
        parameters["stop"] = list(settings.stop)
    return {name: value for name, value in parameters.items() if name == limit or name not in refused}


def left_out(error: Refused, parameters: dict[str, Any], *, is_chat: bool) -> str:
    """Return the name of the parameter to do without, of those that were sent when the server refused.

    Raises `CannotSample` for one that samples depend on, and the refusal itself where it is of something else.
    """
    name = error.parameter
    if name not in parameters or (name == LIMIT and not (is_chat and CHAT_LIMIT in str(error))):
        raise error
    if name in _OF_SAMPLING:
        _see_that_it_is_its_own(name, parameters[name], f" ({error})")
    return name


def _see_that_it_is_its_own(name: str, value: float, because: str = "") -> None:
    if value != _BY_ITSELF:
        raise CannotSample(
            f"the model does not take a {name} of {value:g}{because}: give --temperature 1 --top-p 1, which is how it "
            "samples by itself"
        )


def described(refused: frozenset[str]) -> str:
    """Return what is not sent to a model, and what that means."""
    return "; ".join(f"without {name}: {_WHY[name]}" for name in sorted(refused))
