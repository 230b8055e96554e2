"""A chat as text: by the model's own template, with an answer begun byte for byte, or refused in one line."""

from __future__ import annotations

import os
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("transformers")

from made_tokenizers import SHAPES, Shape, chat_tokenizer

from harness.chat import Chat, Message
from harness.errors import UsageError
from harness.models.rendering import render, see_that_it_chats, template_digest
from harness.models.requests import Reader
from harness.models.seam import Asked, GenerationSettings, Prompt

pytestmark = pytest.mark.hf

QUESTION = (Message("user", " Write f.\n"),)
PREFILL = "Here it is:\n```python\n"
ASKED = {
    "chatml": "<|im_start|>user\n Write f.\n<|im_end|>\n<|im_start|>assistant\n",
    "llama-3": "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWrite f.<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] Write f. [/INST]",
}
BETWEEN = {"mistral": " "}


def with_template(template: Any) -> Any:
    tokenizer = chat_tokenizer(SHAPES["chatml"])
    tokenizer.chat_template = template
    return tokenizer


def read(tokenizer: Any, text: str | Chat) -> Asked:
    reader = Reader(name="m", tokenizer=tokenizer, context=None, filler=0)
    (asked,) = reader.asked([Prompt(task_id="T", sample_index=0, text=text, seed=0)], GenerationSettings())
    return asked


@pytest.mark.parametrize("name", SHAPES)
def test_a_chat_is_what_the_template_says(name: str) -> None:
    tokenizer = chat_tokenizer(SHAPES[name])
    assert render(tokenizer, Chat(messages=QUESTION), name) == ASKED[name]
    begun = render(tokenizer, Chat(messages=QUESTION, prefill=PREFILL), name)
    assert begun == ASKED[name] + BETWEEN.get(name, "") + PREFILL


@pytest.mark.parametrize("name", SHAPES)
def test_control_tokens_are_those_of_the_template_and_come_once(name: str) -> None:
    tokenizer = chat_tokenizer(SHAPES[name])
    asked = read(tokenizer, Chat(messages=QUESTION))
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": QUESTION[0].content}], add_generation_prompt=True, return_dict=False
    )
    assert asked == Asked(text=ASKED[name], tokens=tuple(ids))
    if bos := SHAPES[name].bos:
        begins = tokenizer.convert_tokens_to_ids(bos)
        assert ids.count(begins) == 1
        assert tokenizer(ASKED[name])["input_ids"].count(begins) == 2, "this is the trap"
        assert read(tokenizer, "def f").tokens == (begins, *tokenizer("def f", add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize(
    ("template", "prefill"),
    [
        ("llama-3", "\n\nHere "),  # trimmed, and the header ends in blank lines all the same
        ("mistral", " Here"),
        ("{% for m in messages %}{{ m.content | upper }}{% endfor %}", "Here"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "Here"),
        ("{% for m in messages %}{{ m.content }} - {{ m.content }}{% endfor %}", "Here"),
        ("{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}", "<think></think>Here"),
        ("{% for m in messages %}{{ m.content | replace('\n', ' ') }}{% endfor %}", "Here\nit is"),
    ],
)
def test_a_template_that_changes_the_beginning_of_an_answer_is_refused(template: str, prefill: str) -> None:
    tokenizer = chat_tokenizer(SHAPES[template]) if template in SHAPES else with_template(template)
    with pytest.raises(UsageError, match=r"of m does not leave the beginning of an answer.*evalplus-chat-api"):
        render(tokenizer, Chat(messages=QUESTION, prefill=prefill), "m")


def test_what_a_template_does_behind_an_answer_does_not_matter() -> None:
    template = "{% for m in messages %}{{ m.content.rstrip() + '\n' }}{% endfor %}never ends"
    chat = Chat(messages=QUESTION, prefill=PREFILL)
    assert render(with_template(template), chat, "m") == " Write f.\n" + PREFILL


def test_a_prompt_may_hold_whatever_marks_an_answer() -> None:
    plain = with_template("{% for m in messages %}{{ m.content }}|{% endfor %}")
    marks = "-[[here-the-answer-begins]]-  --[[here-the-model-goes-on]]--"
    chat = Chat(messages=(Message("user", marks),), prefill=f"{marks}\n")
    assert render(plain, chat, "m") == f"{marks}|{marks}\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            SHAPES["mistral"].template,
            r" of system, user \(Only user and assistant roles are supported!\)",
        ),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ messages[0].content + 1 }}", "can only concatenate str"),
        ("{{ messages[7].content }}", "no element 7"),
        ("{{ nothing.at.all }}", "'nothing' is undefined"),
        ("{{ messages.__class__.__mro__ }}", "access to attribute '__class__'"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "recursion"),
    ],
)
def test_what_a_template_raises_is_said_in_one_line(template: str, message: str) -> None:
    chat = Chat(messages=(Message("system", "You code."), *QUESTION))
    with pytest.raises(UsageError, match=f"the chat template of m refuses a chat.*{message}") as raised:
        render(with_template(template), chat, "m")
    assert "\n" not in str(raised.value)


def test_a_model_without_a_template_is_refused_and_one_with_several_has_a_default() -> None:
    bare = chat_tokenizer(None)
    with pytest.raises(UsageError, match=r"m has no chat template.*such as default"):
        see_that_it_chats(bare, "m")
    assert template_digest(bare, "m") == ""
    several = with_template({"default": ASKED["mistral"], "rag": "x"})
    assert render(several, Chat(messages=QUESTION), "m") == ASKED["mistral"]
    assert template_digest(several, "m") == template_digest(with_template(ASKED["mistral"]), "m") != ""
    with pytest.raises(UsageError, match="several chat templates"):
        see_that_it_chats(with_template({"rag": "x", "tools": "y"}), "m")


@pytest.mark.parametrize("text", ["x\ud800", Chat(messages=(Message("user", "x\ud800"),))])
def test_what_is_not_unicode_is_refused(text: str | Chat) -> None:
    with pytest.raises(UsageError, match="T: the prompt is not valid Unicode"):
        read(chat_tokenizer(SHAPES["chatml"]), text)


def test_shapes_differ_in_what_they_are_for() -> None:
    kinds = {
        (shape.bos is None, "trim" in shape.template, "raise_exception" in shape.template) for shape in SHAPES.values()
    }
    assert len(kinds) == len(SHAPES)
    assert all(isinstance(shape, Shape) for shape in SHAPES.values())
