"""Chats on a server, and prompts that are read here for one: what is sent, and what each odd answer means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("openai")

from model_server import CHATS, COMPLETIONS, MODEL, Server, chatted, cuts, refuses, replies, said, serving

from harness.chat import Chat, Message
from harness.errors import ModelUnavailable, UsageError
from harness.model_options import ModelOptions
from harness.models.checkpoint import find_tokenizer, tokenizer_digest_of
from harness.models.patience import Patience
from harness.models.seam import Asked, Completion, GenerationSettings, Prompt
from harness.models.server import ServerModel
from harness.records import StopReason
from harness.sources import open_model

UNHURRIED = Patience(request_seconds=60, attempts=4, first_wait_seconds=0.01)
TURNS = (Message("system", "You code."), Message("user", "Write f."))
SENT = [{"role": "system", "content": "You code."}, {"role": "user", "content": "Write f."}]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def model_on(server: Server) -> ServerModel:
    """Return the model without a greeting, which costs a client of its own."""
    return ServerModel(name=MODEL, address=server.base_url, patience=UNHURRIED)


def chat(prefill: str = "") -> Prompt:
    return Prompt(task_id="T/0", sample_index=0, text=Chat(messages=TURNS, prefill=prefill), seed=5)


def answer(server: Server, reply: dict[str, Any], **settings: Any) -> Completion:
    server.chat = lambda request: reply
    (one,) = model_on(server).generate([chat()], GenerationSettings(**settings))
    return one


def test_a_chat_is_sent_as_messages_with_all_that_decoding_depends_on(server: Server) -> None:
    settings = GenerationSettings(temperature=0.7, top_p=0.9, max_new_tokens=33, stop=("\nclass ",))
    (one,) = model_on(server).generate([chat()], settings)
    decoding = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 33, "stop": ["\nclass "], "seed": 5}
    assert server.asked == [{"model": MODEL, "messages": SENT, **decoding}]
    assert one == Completion(text="<Write f.>", stop_reason=StopReason.STOP, prompt_tokens=9, completion_tokens=3)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (chatted("x = 1\nprint(2)", "length"), ("x = 1", StopReason.STOP, None)),  # it knew no stop strings
        (chatted("x = 1", "length"), ("x = 1", StopReason.LENGTH, None)),
        (chatted(""), ("", StopReason.STOP, None)),
        (chatted(None, refusal="I can't."), ("I can't.", StopReason.STOP, None)),  # the model's own words
        (chatted("x", refusal=None, tool_calls=[], function_call=None), ("x", StopReason.STOP, None)),
        (chatted("x", reasoning="Hm."), ("x", StopReason.STOP, "Hm.")),  # vLLM
        (chatted("x", reasoning_content="Hm.", reasoning=None), ("x", StopReason.STOP, "Hm.")),  # DeepSeek
        (chatted(None, "length", reasoning_content="Hm. So"), ("", StopReason.LENGTH, "Hm. So")),
        (chatted(None, reasoning=""), ("", StopReason.STOP, "")),
    ],
)
def test_what_a_chat_answers_is_read(server: Server, reply: dict[str, Any], expected: tuple[Any, ...]) -> None:
    one = answer(server, reply, stop=("\nprint",))
    assert (one.text, one.stop_reason, one.reasoning) == expected


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (chatted("", "content_filter"), r"T/0: the server withholds the answer \(finish_reason content_filter\)"),
        (
            chatted(None, "tool_calls", tool_calls=[{"id": "1", "type": "function"}]),
            r"T/0: .*--enable-auto-tool-choice",
        ),
        (chatted("half", tool_calls=[{"id": "1"}]), "T/0: the server took the answer for calls of tools"),
        (chatted(None, "function_call", function_call={"name": "f", "arguments": ""}), "T/0: .* calls of tools"),
    ],
)
def test_an_answer_that_is_not_given_as_it_is_stops_the_run(
    server: Server, reply: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        answer(server, reply)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        refuses(503),
        cuts,
        replies(b"<html>"),
        replies(said("a completion")),
        replies(chatted(None)),  # nothing at all is no answer of the model's
        replies(chatted("half", None)),
        replies(chatted("half", "abort")),
        replies({"choices": []}),
        replies({"choices": [{"finish_reason": "stop"}]}),
        replies({"choices": [{"finish_reason": "stop", "message": {"content": ["x"]}}]}),
    ],
)
def test_what_is_no_answer_to_a_chat_is_asked_again(server: Server, trouble: Any) -> None:
    server.trouble = [trouble]
    (one,) = model_on(server).generate([chat()], GenerationSettings())
    assert (one.text, len(server.asked)) == ("<Write f.>", 2)


def test_what_is_no_answer_to_a_chat_for_ever_is_no_answer(server: Server) -> None:
    server.always = replies(chatted(None))
    with pytest.raises(ModelUnavailable, match=r"failed to answer, 4 times; .*no content"):
        list(model_on(server).generate([chat()], GenerationSettings()))


def test_a_refused_chat_is_told_from_a_server_that_refuses_all(server: Server) -> None:
    server.trouble = [refuses(400, "too long")]
    with pytest.raises(UsageError, match="T/0: the server refuses the request: HTTP 400: too long"):
        list(model_on(server).generate([chat()], GenerationSettings()))
    server.always = server.greeting = refuses(400, "billing limit")
    with pytest.raises(ModelUnavailable, match="billing limit, whatever it is asked"):
        list(model_on(server).generate([chat()], GenerationSettings()))


def test_an_answer_that_is_begun_needs_a_tokenizer_here(server: Server) -> None:
    for ask in (model_on(server).asked, model_on(server).generate):
        with pytest.raises(UsageError, match=r"T/0: .*--tokenizer.*--protocol evalplus-chat-api"):
            ask([chat(prefill="Here:\n")], GenerationSettings())
    assert server.asked == server.keys == []


def test_a_server_that_only_chats_is_met_and_refuses_texts_in_time(server: Server) -> None:
    server.endpoints = frozenset({CHATS})
    model = ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    assert model.served.root == "/weights"
    assert model.asked([chat()], GenerationSettings()) == [Asked(messages=TURNS)]
    text = Prompt(task_id="T/0", sample_index=0, text="def f", seed=0)
    with pytest.raises(UsageError, match=rf"{MODEL} on http.* cannot be asked texts .*such as evalplus-chat-api"):
        model.asked([chat(), text], GenerationSettings())
    assert server.asked == [], "one token each, and no more"


def test_a_server_without_a_chat_template_refuses_chats_in_time(server: Server) -> None:
    no_template = refuses(400, "default chat template is no longer allowed")
    server.greeting = lambda handler: (
        no_template(handler) if handler.path == CHATS else handler.send(200, server.answer({"prompt": "def"}))
    )
    model = ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    with pytest.raises(UsageError, match=r"cannot be asked chats .*no longer allowed.*such as default"):
        model.asked([chat()], GenerationSettings())
    server.endpoints = frozenset({COMPLETIONS})
    server.greeting = None
    with pytest.raises(UsageError, match=r"cannot be asked chats .*HTTP 404"):
        model.asked([chat()], GenerationSettings())


def test_a_server_that_knows_the_model_by_neither_endpoint_is_said(server: Server) -> None:
    server.greeting = refuses(404, "no such model")
    with pytest.raises(ModelUnavailable, match=rf"no such model\. It lists: {MODEL}"):
        ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    server.greeting = refuses(400, "not today")
    with pytest.raises(UsageError, match="not today"):
        ServerModel.connect(MODEL, server.base_url, UNHURRIED)


def test_a_tokenizer_is_for_servers_and_code_of_strangers_for_tokenizers() -> None:
    for backend in ("hf", "vllm"):
        with pytest.raises(UsageError, match="tokenizer means nothing to the backend"):
            ModelOptions(backend=backend, tokenizer="org/name")
    with pytest.raises(UsageError, match="trust_remote_code means nothing to the backend openai without a tokenizer"):
        ModelOptions(backend="openai", trust_remote_code=True)
    assert ModelOptions(backend="openai", trust_remote_code=True, tokenizer="org/name").trust_remote_code


@pytest.mark.slow
@pytest.mark.hf
def test_with_a_tokenizer_prompts_are_sent_as_tokens(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from made_tokenizers import SHAPES, chat_tokenizer

    tokenizer = chat_tokenizer(SHAPES["chatml"])
    tokenizer.save_pretrained(tmp_path / "words")  # no weights, no configuration
    server.answer = lambda request: said("pass")
    model = open_model(
        MODEL, ModelOptions(backend="openai", base_url=server.base_url, tokenizer=str(tmp_path / "words"))
    )
    text = Prompt(task_id="T/1", sample_index=0, text="def f():\n", seed=0)
    empty = Prompt(task_id="T/2", sample_index=0, text="", seed=0)
    list(model.generate([chat(prefill="Here:\n"), text, empty], GenerationSettings(batch_size=1)))
    begun = (
        "<|im_start|>system\nYou code.<|im_end|>\n<|im_start|>user\nWrite f.<|im_end|>\n<|im_start|>assistant\nHere:\n"
    )
    assert server.prompts() == [
        tokenizer(begun, add_special_tokens=False)["input_ids"],
        tokenizer("def f():\n")["input_ids"],
        [tokenizer.eos_token_id],
    ]


@pytest.mark.hf
def test_the_tokenizer_of_an_id_needs_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    from made_tokenizers import SHAPES, chat_tokenizer

    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--some--words"
    chat_tokenizer(SHAPES["mistral"]).save_pretrained(folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = find_tokenizer("some/words")
    assert found.name == commit
    assert len(tokenizer_digest_of(found)) == 64
    (found / "chat_template.jinja").write_text("another")
    (found / "README.md").write_text("another")
    digest = tokenizer_digest_of(found)
    assert digest == tokenizer_digest_of(find_tokenizer(f"some/words@{commit}"))
    (found / "tokenizer.json").write_text("{}")
    assert tokenizer_digest_of(found) != digest
    assert find_tokenizer("demo:student").name == "student"
    for name, message in (("nobody/nothing", "could not be fetched"), ("no id", "no model 'no id'")):
        with pytest.raises((ModelUnavailable, UsageError), match=message):
            find_tokenizer(name)


@pytest.mark.hf
def test_a_server_that_takes_no_tokens_is_said_at_once(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from made_tokenizers import chat_tokenizer

    chat_tokenizer(None).save_pretrained(tmp_path)
    server.greeting = refuses(422, "prompt: a string is wanted")
    options = ModelOptions(backend="openai", base_url=server.base_url, tokenizer=str(tmp_path))
    with pytest.raises(UsageError, match=r"a string is wanted \(with a tokenizer, prompts are sent to it as tokens\)"):
        open_model(MODEL, options)
    with pytest.raises(UsageError, match="has no tokenizer"):
        open_model(MODEL, ModelOptions(backend="openai", base_url=server.base_url, tokenizer=str(tmp_path.parent)))
