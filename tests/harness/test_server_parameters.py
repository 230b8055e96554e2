"""What a server's model does not take of a request: done without where it changes nothing, else said with the fix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("openai")

from model_server import CHATS, MODEL, Server, chatted, said, serving

from harness.chat import Chat, Message
from harness.errors import ModelUnavailable, UsageError
from harness.evaluation import EvalConfig, generate
from harness.model_options import ModelOptions
from harness.models.patience import Patience
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.models.server import ServerModel
from harness.records import StopReason
from harness.sources import Decoding, open_model
from harness.store import read_config

UNHURRIED = Patience(request_seconds=60, attempts=4, first_wait_seconds=0.01)
CHAT = Chat(messages=(Message("user", "Write f."),))
AS_IT_IS = GenerationSettings(temperature=1.0, top_p=1.0, max_new_tokens=33, stop=("\nclass ",))


def unsupported(name: str, fix: str = "") -> dict[str, Any]:
    """Return what OpenAI says of a parameter."""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{fix}"
    return {"message": message, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}


def as_o_series(request: dict[str, Any]) -> dict[str, Any] | None:
    """Refuse what OpenAI's models that reason refuse."""
    if "max_tokens" in request:
        return unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if request.get("temperature", 1) != 1:
        message = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is "
        return {"message": message + "supported.", "param": "temperature", "code": "unsupported_value"}
    return next((unsupported(name) for name in ("top_p", "stop") if name in request), None)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(objects=as_o_series, endpoints=frozenset({CHATS}))) as state:
        yield state


def prompt(text: str | Chat = CHAT) -> Prompt:
    return Prompt(task_id="T/0", sample_index=0, text=text, seed=5)


def unmet(server: Server) -> ServerModel:
    return ServerModel(name=MODEL, address=server.base_url, patience=UNHURRIED)


def test_a_model_that_reasons_is_asked_as_it_wants_to_be(server: Server) -> None:
    server.chat = lambda request: chatted("x = 1\nclass A", "stop")
    model = ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    model.asked([prompt()], AS_IT_IS)
    (one,) = model.generate([prompt()], AS_IT_IS)
    assert (one.text, one.stop_reason) == ("x = 1", StopReason.STOP), "stop strings cut here"
    (request,) = server.asked
    del request["messages"]
    assert request == {"model": MODEL, "max_completion_tokens": 33, "temperature": 1.0, "seed": 5}
    said_of_it = model.runtime["not_sent"]
    assert "max_tokens: max_completion_tokens is sent for it" in said_of_it
    assert "stop: answers are cut here" in said_of_it
    assert "top_p: 1" in said_of_it
    assert "temperature" not in said_of_it


def test_what_is_refused_is_found_out_on_the_way_as_well(server: Server) -> None:
    prompts = [prompt()] * 6
    assert [one.text for one in unmet(server).generate(prompts, AS_IT_IS)] == ["<Write f.>"] * 6
    assert sum("max_tokens" in one for one in server.asked) <= 6, "each request that was under way by then, once"


@pytest.mark.parametrize("changes", [{"temperature": 0.0}, {"temperature": 0.8}, {"top_p": 0.95}])
def test_it_is_never_sampled_otherwise_than_was_asked_for(server: Server, changes: dict[str, float]) -> None:
    settings = GenerationSettings(**{"temperature": 1.0, **changes})
    model = ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    (name,) = changes
    with pytest.raises(UsageError, match=rf"{MODEL} on http.* does not take a {name} of .*--temperature 1 --top-p 1"):
        model.asked([prompt()], settings)
    assert server.asked == [], "known before any work"
    with pytest.raises(ModelUnavailable, match=f"does not take a {name} of"):
        list(model.generate([prompt()], settings))


@pytest.mark.parametrize(
    ("error", "left_out"),
    [
        (unsupported("seed"), {"seed"}),
        (
            {"message": "litellm.UnsupportedParamsError: m doesn't support temperature=1.0", "param": None},
            {"temperature"},
        ),
        (unsupported("top_p") | {"param": "model"}, {"top_p"}),  # seen of OpenAI's
        (
            {"message": "Invalid 'stop': array too long. Expected an array with maximum length 4", "param": "stop"},
            {"stop"},
        ),
    ],
)
def test_a_parameter_is_known_by_its_field_or_by_what_is_said(
    server: Server, error: dict[str, Any], left_out: set[str]
) -> None:
    (name,) = left_out
    server.objects = lambda request: error if name in request else None
    list(unmet(server).generate([prompt()], AS_IT_IS))
    assert {"seed", "temperature", "top_p", "stop", "max_tokens"} - set(server.asked[-1]) == left_out


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "max_tokens is too large: 33. This model supports at most 9 completion tokens",
            "param": "max_tokens",
        },
        {"message": "temperature must be at most 2", "param": "temperature"},
        {"message": "this prompt is not supported: it names a top_k", "param": None},
        unsupported("max_tokens"),  # and nothing that could be sent instead
    ],
)
def test_other_refusals_stay_what_they_are(server: Server, error: dict[str, Any]) -> None:
    server.objects = lambda request: error if request["max_tokens"] > 1 else None
    with pytest.raises(UsageError, match="T/0: the server refuses the request: HTTP 400: "):
        list(unmet(server).generate([prompt()], AS_IT_IS))
    assert len(server.asked) == 1


def test_thinking_that_is_refused_at_the_limit_is_an_answer_that_ran_out(server: Server) -> None:
    """So OpenAI says it of small limits; then the greeting is repeated with a larger one, for the model's name."""
    out = {"message": "Could not finish the message because max_tokens or model output limit was reached. Please try"}
    server.objects = lambda request: out if request.get("max_tokens", 9) < 1000 else None
    model = ServerModel.connect(MODEL, server.base_url, UNHURRIED)
    assert model.served.name == MODEL
    (one,) = model.generate([prompt()], AS_IT_IS)
    assert one == Completion(text="", stop_reason=StopReason.LENGTH)


def test_a_server_that_does_not_name_its_model_is_greeted_with_one_token_all_the_same() -> None:
    limits: list[int] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        limits.append(request["max_tokens"])
        return said("", "length", model=None)

    with serving(Server(answer=answer)) as server:
        assert ServerModel.connect(MODEL, server.base_url, UNHURRIED).served.name == MODEL
    assert limits == [1]


@pytest.mark.slow
def test_a_run_of_such_a_model_says_how_it_was_asked(server: Server, tmp_path: Path, a_task: Callable[[], str]) -> None:
    options = ModelOptions(backend="openai", base_url=server.base_url)

    def run(**decoding: Any) -> Path:
        how = Decoding(protocol="evalplus-chat-api", **decoding)
        out = tmp_path / "run"
        generate(EvalConfig(tasks=(a_task(),), model=MODEL, out=out, options=options, decoding=how))
        return out

    with pytest.raises(UsageError, match="--temperature 1 --top-p 1"):
        run()
    assert not (tmp_path / "run" / "run.json").exists()
    config = read_config(run(temperature=1.0, top_p=1.0))
    assert (config.temperature, config.top_p) == (1.0, 1.0)
    assert config.runtime["not_sent"].startswith("without max_tokens: max_completion_tokens is sent for it")


@pytest.fixture
def a_task(tmp_path: Path) -> Callable[[], str]:
    def write() -> str:
        path = tmp_path / "tasks.jsonl"
        test = "def check(candidate):\\n    assert candidate(1) == 1\\n"
        path.write_text(
            '{"task_id": "T/0", "prompt": "def f(x):\\n", "entry_point": "f", "canonical_solution": "    return x\\n", '
            f'"test": "{test}"}}\n'
        )
        return str(path)

    return write


# --- a limit on prompt and answer together


def test_a_server_that_reads_prompts_itself_cannot_count_them(tmp_path: Path, a_task: Callable[[], str]) -> None:
    with serving(Server(answer=lambda request: said("    return x"))) as server:
        options = ModelOptions(backend="openai", base_url=server.base_url)

        def run(out: str, **decoding: Any) -> Path:
            how = Decoding(protocol="bigcode", n_samples=1, **decoding)
            generate(EvalConfig(tasks=(a_task(),), model=MODEL, out=tmp_path / out, options=options, decoding=how))
            return tmp_path / out

        with pytest.raises(UsageError, match=r"512 tokens together, and nobody here.*--tokenizer.*--max-new-tokens"):
            run("refused")
        assert server.asked == []
        config = read_config(run("answer-alone", max_new_tokens=512))
        assert (config.max_new_tokens, config.max_length) == (512, None)
        assert server.asked[0]["max_tokens"] == 512


@pytest.mark.slow
@pytest.mark.hf
def test_a_server_with_a_tokenizer_is_asked_for_what_the_prompt_leaves(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from made_tokenizers import chat_tokenizer

    chat_tokenizer(None).save_pretrained(tmp_path / "words")
    with serving(Server(answer=lambda request: said("pass"))) as server:
        options = ModelOptions(backend="openai", base_url=server.base_url, tokenizer=str(tmp_path / "words"))
        model = open_model(MODEL, options)
        prompts = [prompt("x" * length) for length in (3, 40, 60, 61)]
        settings = GenerationSettings(max_new_tokens=24, max_length=60, batch_size=1)
        got = list(model.generate(prompts, settings))
        assert [one["max_tokens"] for one in server.asked] == [24, 20], "and nothing behind the others"
        assert got[2:] == [
            Completion(text="", stop_reason=StopReason.LENGTH, prompt_tokens=count, completion_tokens=0)
            for count in (60, 61)
        ]
