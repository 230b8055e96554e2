"""How a chat becomes the text that a model goes on from: by the chat template that its tokenizer brings.

Used wherever prompts are read here, so that every engine is asked the same bytes. A beginning of the answer is put into
the assistant's turn with a mark behind it, and the text is cut at the mark, as EvalPlus does it (0.3.1,
provider/utility.py): what a template trims or adds at the end of a turn, it does behind the mark.
"""

from __future__ import annotations

import hashlib
from typing import Any

from harness.chat import Chat
from harness.errors import UsageError
from harness.models.checkpoint import first_line, required


def template_of(tokenizer: Any, name: str) -> str | None:
    """Return the chat template of the model called `name`; None where it has none.

    Raises `UsageError` for several of them without a default.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    try:
        return str(tokenizer.get_chat_template())
    except ValueError as error:
        raise UsageError(f"{name} has several chat templates, and none of them is the default") from error


def template_digest(tokenizer: Any, name: str) -> str:
    """Return the SHA-256 of the chat template, empty where there is none."""
    template = template_of(tokenizer, name)
    return "" if template is None else hashlib.sha256(template.encode(errors="surrogatepass")).hexdigest()


def see_that_it_chats(tokenizer: Any, name: str) -> None:
    """Raise `UsageError` for a model without a chat template."""
    if template_of(tokenizer, name) is None:
        raise UsageError(
            f"{name} has no chat template, so that it cannot be asked chats: take a protocol of texts, such as default"
        )


def render(tokenizer: Any, chat: Chat, name: str) -> str:
    """Return the text of a chat for the model called `name`, with the control tokens that are in its template.

    Raises `UsageError` where the model has no chat template, where that refuses the chat or fails, and where it does
    not leave the beginning of the answer as it is.
    """
    see_that_it_chats(tokenizer, name)
    turns = [{"role": one.role, "content": one.content} for one in chat.messages]
    if not chat.prefill:
        return _applied(tokenizer, turns, name, add_generation_prompt=True)
    before, behind = "-[[here-the-answer-begins]]-", "-[[here-the-model-goes-on]]-"
    while any(one in turn["content"] for one in (before, behind) for turn in [*turns, {"content": chat.prefill}]):
        before, behind = f"-{before}-", f"-{behind}-"

    def up_to_the_mark(begun: str) -> str:
        answer = {"role": "assistant", "content": begun + behind}
        text = _applied(tokenizer, [*turns, answer], name, add_generation_prompt=False)
        return text.partition(behind)[0] if text.count(behind) == 1 else ""

    text = up_to_the_mark(chat.prefill)
    # What a template does to an answer's beginning shows once that is another one.
    opening, _, begun = up_to_the_mark(before + chat.prefill).partition(before)
    if begun != chat.prefill or text != opening + chat.prefill:
        raise UsageError(
            f"the chat template of {name} does not leave the beginning of an answer as it is, which this protocol puts "
            "into the model's mouth: take a protocol of chats without one, such as evalplus-chat-api"
        )
    return text


def _applied(tokenizer: Any, turns: list[dict[str, str]], name: str, *, add_generation_prompt: bool) -> str:
    errors = required("jinja2").TemplateError
    # A template is code of strangers: beside errors of its own it raises what Python makes of it.
    by_accident = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt))
    except (errors, *by_accident) as error:
        roles = ", ".join(dict.fromkeys(turn["role"] for turn in turns))
        raise UsageError(
            f"the chat template of {name} refuses a chat of {roles} ({first_line(error)[:300]}): take another protocol"
        ) from error
