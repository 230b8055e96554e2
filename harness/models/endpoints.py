"""The two endpoints of OpenAI's protocol that write: one goes on from a text or its tokens, the other answers a chat.

Covers what is sent to each and what an answer of each means; `server` says what is asked, and `patience` asks again for
what is no answer. What is withheld from us, or taken apart by the server, is the server's matter and no answer either.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from harness.models.patience import Unusable, message_of
from harness.models.replies import Answer, ChatAnswer, Turn, Usage, read
from harness.models.seam import Asked
from harness.records import StopReason

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_REASONS = {
    "stop": StopReason.STOP,
    "eos_token": StopReason.STOP,  # text-generation-inference
    "stop_sequence": StopReason.STOP,
    "length": StopReason.LENGTH,
}
_FILTERED = "content_filter"
_COULD_NOT_FINISH = "Could not finish the message because max_tokens or model output limit was reached"
_TOOLS = frozenset({"tool_calls", "function_call"})


class Withheld(UsageError):
    """There is an answer, and the server does not give it as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a server answers: the text, why it ends, the thinking where that comes apart, and who says so."""

    text: str
    stop_reason: StopReason
    reasoning: str | None
    usage: Usage
    model: str | None
    system_fingerprint: str | None


# What OpenAI refuses to give, of a model that was still thinking at the limit of tokens.
RAN_OUT = Said(
    text="", stop_reason=StopReason.LENGTH, reasoning=None, usage=Usage(), model=None, system_fingerprint=None
)


async def ask(client: AsyncOpenAI, model: str, asked: Asked, parameters: dict[str, Any]) -> Said:
    """Return the answer to one request, with these parameters beside the prompt.

    Raises `Unusable` for an answer that is none, `Withheld` for one that is filtered or was taken for calls of tools,
    and what the client raises.
    """
    return await (_chat if asked.messages else _completion)(client, model, asked, parameters)


async def _completion(client: AsyncOpenAI, model: str, asked: Asked, parameters: dict[str, Any]) -> Said:
    response = await client.completions.with_raw_response.create(
        model=model,
        prompt=(asked.text or "") if asked.tokens is None else list(asked.tokens),
        **parameters,
    )
    answer = read(Answer, response.content)
    if not answer.choices:
        raise Unusable("no choices")
    choice = answer.choices[0]
    return Said(
        text=choice.text,
        stop_reason=_reason(choice.finish_reason),
        reasoning=None,
        usage=answer.usage or Usage(),
        model=answer.model,
        system_fingerprint=answer.system_fingerprint,
    )


async def _chat(client: AsyncOpenAI, model: str, asked: Asked, parameters: dict[str, Any]) -> Said:
    from openai import BadRequestError

    messages: Any = [asdict(one) for one in asked.messages]
    try:
        response = await client.chat.completions.with_raw_response.create(model=model, messages=messages, **parameters)
    except BadRequestError as error:
        if not message_of(error).startswith(_COULD_NOT_FINISH):
            raise
        return RAN_OUT
    answer = read(ChatAnswer, response.content)
    if not answer.choices:
        raise Unusable("no choices")
    choice = answer.choices[0]
    turn = choice.message
    if turn.tool_calls or turn.function_call or choice.finish_reason in _TOOLS:
        raise Withheld(
            "the server took the answer for calls of tools, and none were offered: serve the model without a parser of "
            "tool calls (vLLM: without --enable-auto-tool-choice)"
        )
    return Said(
        stop_reason=_reason(choice.finish_reason),
        text=_text(turn),
        reasoning=turn.thinking,
        usage=answer.usage or Usage(),
        model=answer.model,
        system_fingerprint=answer.system_fingerprint,
    )


def _text(turn: Turn) -> str:
    """Return the text of an answer; a refusal is one, in the model's words. Raises `Unusable` where nothing is said."""
    if turn.content is not None:
        return turn.content
    if turn.refusal is not None:
        return turn.refusal
    if turn.thinking is None:
        raise Unusable("no content")
    return ""  # it did nothing but think


def _reason(finish_reason: str | None) -> StopReason:
    if finish_reason == _FILTERED:
        raise Withheld(f"the server withholds the answer (finish_reason {_FILTERED})")
    if finish_reason not in _REASONS:
        raise Unusable(f"finish_reason {finish_reason}")
    return _REASONS[finish_reason]
