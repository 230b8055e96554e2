"""A model on a server: what is sent, in which order it comes back, and what a failing server never becomes."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    pytest.importorskip("openai")

from model_server import MODEL, Server, Trouble, cuts, is_silent, refuses, replies, said, serving, trickles

from harness.cli import eval_command
from harness.commands import eval_config
from harness.errors import ModelUnavailable, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.model_options import ModelOptions, address_of
from harness.models.in_order import in_order
from harness.models.patience import Patience
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.models.server import ServerModel
from harness.print_report import print_reports
from harness.records import RunConfig, Sample, StopReason, from_json
from harness.sources import Decoding, open_model
from harness.store import RUN, SAMPLES

QUICK = Patience(request_seconds=0.5, attempts=4, silences=2, first_wait_seconds=0.01, longest_wait_seconds=0.4)
UNHURRIED = Patience(request_seconds=60, attempts=4, first_wait_seconds=0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state


def model_on(server: Server, patience: Patience = UNHURRIED) -> ServerModel:
    """Return the model without a greeting, which costs a client of its own."""
    return ServerModel(name=MODEL, address=server.base_url, patience=patience)


def prompts(count: int) -> list[Prompt]:
    return [Prompt(task_id=f"T/{n}", sample_index=0, text=str(n), seed=n) for n in range(count)]


def completions(model: ServerModel, count: int = 1, **settings: Any) -> list[Completion]:
    return list(model.generate(prompts(count), GenerationSettings(**settings)))


def test_a_request_has_all_that_decoding_depends_on(server: Server) -> None:
    prompt = Prompt(task_id="T", sample_index=0, text="def f():\n", seed=(1 << 63) - 1)
    settings = GenerationSettings(temperature=0.7, top_p=0.9, max_new_tokens=33, stop=("\ndef ", "\nclass "))
    (one,) = model_on(server).generate([prompt], settings)
    assert server.asked == [
        {
            "model": MODEL,
            "prompt": "def f():\n",
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 33,
            "stop": ["\ndef ", "\nclass "],
            "seed": (1 << 63) - 1,
        }
    ]
    assert one == Completion(text="<def f():\n>", stop_reason=StopReason.STOP, prompt_tokens=5, completion_tokens=7)


@pytest.mark.parametrize(
    ("answer", "text", "reason"),
    [
        (said("    return 1\n", "length"), "    return 1\n", StopReason.LENGTH),
        (said("    return 1\n", "eos_token"), "    return 1\n", StopReason.STOP),
        (said("    return 1\nprint(2)", "length"), "    return 1", StopReason.STOP),  # it knew no stop strings
        (said("", "stop"), "", StopReason.STOP),
        (said("\ud800", "stop"), "\ud800", StopReason.STOP),
    ],
)
def test_why_a_text_ends_is_read(server: Server, answer: dict[str, Any], text: str, reason: StopReason) -> None:
    server.answer = lambda request: answer
    (one,) = completions(model_on(server), stop=("\nprint",))
    assert (one.text, one.stop_reason) == (text, reason)


def test_a_server_that_counts_no_tokens_leaves_them_open(server: Server) -> None:
    server.answer = lambda request: {"choices": [{"text": "x", "finish_reason": "stop"}]}
    (one,) = completions(model_on(server))
    assert (one.prompt_tokens, one.completion_tokens) == (None, None)


def test_answers_come_in_order_and_no_more_requests_are_under_way_than_allowed(server: Server) -> None:
    late, together = threading.Event(), threading.Barrier(3)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        number = int(request["prompt"])
        if number < 3:
            together.wait(60)  # which only three at once get past
        if number == 0:
            late.wait(60)  # the first is the last to be answered of those
        elif number == 6:
            late.set()
        return said(request["prompt"])

    server.answer = answer
    assert [one.text for one in completions(model_on(server), 20, batch_size=3)] == [str(n) for n in range(20)]
    assert server.most_at_once == 3
    assert late.is_set()


def test_requests_go_on_while_the_reader_is_busy_but_not_for_ever(server: Server) -> None:
    before = threading.active_count()
    reader = model_on(server).generate(prompts(50), GenerationSettings(batch_size=2))
    next(reader)
    began = time.monotonic()
    while len(server.asked) < 9 and time.monotonic() < began + 30:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(server.asked) == 9  # the one that was read, and 4 for each that may be under way
    reader.close()
    assert threading.active_count() < before + 20
    assert not [one for one in threading.enumerate() if one.name == "requests"]


BAD_ONCE: dict[str, Trouble] = {
    "429 with a number": refuses(429, headers={"retry-after": "0.1"}),
    "429 with a date": refuses(429, headers={"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"}),
    "500": refuses(500),
    "a page": replies(b"<html>busy</html>", {"content-type": "text/html"}),
    "cut": cuts,
    "silent": is_silent,
    "trickling": trickles,
    "no JSON": replies(b'{"choices": ['),
    "JSON too deep": replies(b"[" * 100_000),
    "another shape": replies([1, 2]),
    "error with 200": replies({"error": {"message": "overloaded"}}),
    "no choices": replies(said("", choices=[])),
    "no text": replies(said("", choices=[{"finish_reason": "stop"}])),
    "no reason": replies(said("half", None)),
    "aborted": replies(said("half", "abort")),
    "counts that are none": replies(said("half", usage={"prompt_tokens": -1})),
}


SLOWLY = ("silent", "trickling")


@pytest.mark.parametrize("name", [pytest.param(one, marks=[pytest.mark.slow] * (one in SLOWLY)) for one in BAD_ONCE])
def test_what_goes_wrong_once_is_asked_again(server: Server, name: str) -> None:
    server.trouble = [BAD_ONCE[name]]
    impatient = Patience(request_seconds=1, attempts=50, silences=50, first_wait_seconds=0.01)
    (one,) = completions(model_on(server, impatient if name in SLOWLY else UNHURRIED))
    assert one.text == "<0>"
    assert len(server.asked) == 2 or (name in SLOWLY and len(server.asked) > 2)  # on a busy machine


def test_the_wait_that_a_server_asks_for_is_kept(server: Server) -> None:
    server.trouble = [refuses(429, headers={"retry-after": "0.35"})]
    began = time.monotonic()
    completions(model_on(server, QUICK))
    assert time.monotonic() - began >= 0.35


@pytest.mark.parametrize(
    ("trouble", "attempts", "message"),
    [
        (refuses(429), 4, "HTTP 429: no"),
        (refuses(500, "of\nmemory"), 4, "HTTP 500: of memory"),
        (cuts, 4, "peer closed connection"),
        (replies(b"\x1b[31m"), 4, "an answer that is none"),
        (replies(said("", choices=[])), 4, "no choices"),
        (is_silent, 2, "no answer within 0.5 s"),
        (refuses(429, headers={"retry-after": "3600"}), 1, "wait for 3600 s"),
        (refuses(401, "bad key"), 1, "OPENAI_API_KEY"),
    ],
)
def test_what_goes_wrong_for_ever_is_no_answer(server: Server, trouble: Trouble, attempts: int, message: str) -> None:
    model = model_on(server, QUICK)
    server.spared, server.always = frozenset({"0"}), trouble
    answers = model.generate(prompts(3), GenerationSettings(batch_size=1))
    assert next(answers).text == "<0>"
    with pytest.raises(ModelUnavailable, match=message) as raised:
        next(answers)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert server.prompts().count("1") == attempts


def test_a_server_that_is_gone_is_no_answer() -> None:
    with serving() as state:
        model = model_on(state, QUICK)
    with pytest.raises(ModelUnavailable, match=r"connection attempts failed|refused"):
        completions(model)


def test_a_refused_prompt_is_the_users_matter_and_names_its_task(server: Server) -> None:
    server.trouble = [refuses(400, "This model's maximum context length is 2048 tokens")]
    with pytest.raises(UsageError, match=r"T/0: the server refuses the request: HTTP 400: This model's maximum"):
        completions(model_on(server))
    assert server.prompts() == ["0"]


def test_a_server_that_refuses_everything_is_not_taken_for_one_that_refuses_a_prompt(server: Server) -> None:
    model = model_on(server)
    server.always = server.greeting = refuses(400, "billing limit")
    with pytest.raises(ModelUnavailable, match="billing limit, whatever it is asked"):
        completions(model)


def test_a_withheld_answer_is_refused(server: Server) -> None:
    server.answer = lambda request: said("", "content_filter")
    with pytest.raises(UsageError, match="T/0: the server withholds the answer"):
        completions(model_on(server))


def test_an_answer_of_another_model_is_none(server: Server) -> None:
    server.answer = lambda request: said("x", model="other")
    with pytest.raises(ModelUnavailable, match=f"answered as {MODEL}, and answers as other now"):
        completions(model_on(server))


@pytest.mark.slow
def test_what_is_not_answered_at_the_deadline_has_no_text(server: Server) -> None:
    server.trouble = [lambda handler: handler.send(200, said("<0>"))]
    server.always = is_silent
    began = time.monotonic()
    settings = GenerationSettings(batch_size=1, deadline=began + 5)
    answers = list(model_on(server).generate(prompts(5), settings))
    assert [one.text for one in answers] == ["<0>", "", "", "", ""]
    assert [one.stop_reason for one in answers[1:]] == [StopReason.TIME] * 4
    assert time.monotonic() - began < 30
    assert set(server.prompts()) <= {"0", "1"}  # the others were not begun


def test_a_prompt_that_is_no_unicode_is_refused_before_any_request(server: Server) -> None:
    model = model_on(server)
    with pytest.raises(UsageError, match="T: the prompt is not valid Unicode"):
        model.generate([Prompt(task_id="T", sample_index=0, text="\ud800", seed=1)], GenerationSettings())
    assert server.asked == []


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (None, "which server"),
        ("localhost:8000/v1", "is no base URL"),
        ("ftp://host/v1", "is no base URL"),
        ("http://host:99999/v1", "is no base URL"),
        ("http://user:secret@host/v1", "OPENAI_API_KEY"),
        ("http://host/v1?api_key=secret", "OPENAI_API_KEY"),
        ("user:secret@host/v1", "OPENAI_API_KEY"),
    ],
)
def test_an_address_that_is_none_is_refused_without_showing_secrets(
    address: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match=message) as raised:
        address_of(address)
    assert "secret" not in str(raised.value)


def test_the_address_may_come_from_the_environment(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.base_url}/")
    model = open_model(MODEL, ModelOptions(backend="openai"))
    (one,) = model.generate(prompts(1), GenerationSettings())
    assert one.text == "<0>"


def test_a_model_that_is_not_served_is_said_with_those_that_are(server: Server) -> None:
    with pytest.raises(ModelUnavailable, match=rf"`other` does not exist\. It lists: {MODEL}"):
        ServerModel.connect("other", server.base_url, QUICK)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://h/v1"},
        {"request_seconds": 5.0},
        {"backend": "openai", "dtype": "float16"},
        {"backend": "openai", "request_seconds": 0.0},
        {"backend": "vllm", "device": "cuda:1"},
        {"backend": "vllm", "base_url": "http://h/v1"},
        {"backend": "vllm", "gpu_memory_utilization": 1.5},
        {"backend": "vllm", "max_model_len": 0},
        {"tensor_parallel_size": 2},
        {"enforce_eager": True},
        {"enable_prefix_caching": False},
        {"backend": "openai", "max_model_len": 64},
        {"backend": "openai", "price": (1.0, -1.0)},
        {"backend": "vllm", "price": (1.0, 1.0)},
        {"backend": "telepathy"},
    ],
)
def test_options_that_mean_nothing_to_a_backend_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        ModelOptions(**options)


@pytest.mark.slow
def test_the_key_is_sent_and_stands_in_no_file_message_or_log(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-0123456789abcdef"
    monkeypatch.setenv("OPENAI_API_KEY", f"{key}\n")  # as files of keys end
    caplog.set_level(logging.DEBUG)
    evaluated(server, tmp_path / "run")
    assert set(server.keys) == {f"Bearer {key}"}
    server.always = refuses(500, "x" * 290 + f"you sent Bearer {key}")
    with pytest.raises(ModelUnavailable) as raised:
        completions(model_on(server, QUICK))
    written = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    for text in (written.decode(), caplog.text, str(raised.value)):
        assert key[:8] not in text


def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one\nsk-two")
    with pytest.raises(UsageError, match="OPENAI_API_KEY") as raised:
        ServerModel(name=MODEL, address="http://host/v1", patience=QUICK)
    assert "sk-" not in str(raised.value)


def test_another_model_behind_the_same_name_has_another_digest(server: Server) -> None:
    first = ServerModel.connect(MODEL, server.base_url)
    assert (first.served.root, first.served.name) == ("/weights", MODEL)
    server.listing = [{"id": MODEL, "root": "/other", "created": 2}]
    assert ServerModel.connect(MODEL, server.base_url).digest != first.digest
    server.listing = [{"id": MODEL, "root": "/weights", "created": 3}]
    assert ServerModel.connect(MODEL, server.base_url).digest == first.digest
    server.listing = "no list"
    assert ServerModel.connect(MODEL, server.base_url).served.root is None


def tasks_file(folder: Path) -> Path:
    """Write three tasks that `return x` solves."""
    path = folder / "tasks.jsonl"
    rows = [
        {
            "task_id": f"T/{n}",
            "prompt": f'def f{n}(x):\n    """Return x."""\n',
            "entry_point": f"f{n}",
            "canonical_solution": "    return x\n",
            "test": f"def check(candidate):\n    assert candidate({n}) == {n}\n",
        }
        for n in range(3)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evaluated(server: Server, out: Path, **options: Any) -> Any:
    out.parent.mkdir(parents=True, exist_ok=True)
    config = EvalConfig(
        tasks=(str(tasks_file(out.parent)),),
        out=out,
        model=MODEL,
        options=ModelOptions(backend="openai", base_url=server.base_url, request_seconds=30, **options),
        decoding=Decoding(batch_size=1),
        sandbox="local",
    )
    (report,) = evaluate(config)
    return report


def asked_together(missing: str | None) -> list[str]:
    """Ask for three answers at once, of which the first fails when the others have come; return what is yielded."""
    others = asyncio.Semaphore(0)

    async def ask(place: int) -> str:
        if place == 0:
            for _ in range(2):
                await others.acquire()
            raise ModelUnavailable("gone")
        others.release()
        return f"answer {place}"

    @asynccontextmanager
    async def opened() -> AsyncIterator[Callable[[int], Awaitable[str]]]:
        yield ask

    found: list[str] = []
    with pytest.raises(ModelUnavailable, match="gone"):
        found.extend(in_order(opened, 3, 3, missing))
    return found


def test_an_answer_that_has_come_is_not_lost_with_an_earlier_one_that_fails() -> None:
    assert asked_together("nothing") == ["nothing", "answer 1", "answer 2"]
    assert asked_together(None) == []


def test_a_server_that_fails_leaves_no_text_that_could_be_taken_for_an_answer(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.patience.asyncio.sleep", _at_once)
    server.always, server.spared = refuses(503), frozenset({"b"})
    model = ServerModel.connect(MODEL, server.base_url, Patience(attempts=2))
    prompts = [Prompt(task_id=text, sample_index=0, text=text, seed=0) for text in "abc"]
    written: list[Completion] = []
    with pytest.raises(ModelUnavailable, match="503"):
        written.extend(model.generate(prompts, GenerationSettings(max_new_tokens=20, batch_size=3)))
    assert {one.stop_reason for one in written if one.text != "<b>"} <= {StopReason.TIME}
    assert len(written) <= 2


@pytest.mark.slow
def test_a_run_says_which_server_and_what_it_cannot_promise(server: Server, tmp_path: Path) -> None:
    server.answer = lambda request: said("    return x\n" if "f1" not in request["prompt"] else "    return 7\n")
    report = evaluated(server, tmp_path / "run")
    assert (report.outcomes["passed"], report.outcomes["failed"]) == (2, 1)
    assert (report.tokens.prompt, report.tokens.completion) == (15, 21)
    run = from_json(RunConfig, (tmp_path / "run" / RUN).read_bytes())
    met = ServerModel.connect(MODEL, server.base_url)
    assert (run.backend, run.model, run.model_digest) == ("openai", MODEL, met.digest)
    assert (run.runtime["base_url"], run.runtime["served_as"]) == (server.base_url, MODEL)
    assert run.runtime["reproducible"].startswith("not promised")
    assert "weights are not known" in run.runtime["digest"]
    assert "openai" in run.versions
    assert len({request["seed"] for request in server.asked}) == 3


@pytest.mark.slow
def test_a_run_says_what_it_cost_by_the_prices_given_also_later(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda request: said("    return x\n")
    assert evaluated(server, tmp_path / "run").cost is None
    count = len(server.asked)
    report = evaluated(server, tmp_path / "run", price=(2.0, 1e4))
    assert (report.tokens.prompt, report.tokens.completion) == (15, 21)
    assert report.cost == pytest.approx((15 * 2 + 21 * 10_000) / 1e6)
    assert len(server.asked) == count, "nothing was asked again"
    print_reports([report], as_json=False)
    assert "cost: 0.21, for 15 tokens of prompts and 21 of completions" in " ".join(capsys.readouterr().out.split())
    words = ["--model", "m", "--tasks", "t", "--backend", "openai", "--base-url", "http://h/v1", "--price", "2.5", "10"]
    with eval_command.make_context("eval", words) as context:
        assert eval_config(context.params).options.price == (2.5, 10.0)


@pytest.mark.slow
def test_a_run_whose_server_fails_keeps_its_samples_and_goes_on(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.models.patience.asyncio.sleep", _at_once)
    server.answer = lambda request: said("    return x\n")
    server.trouble = [lambda handler: handler.send(200, said("    return x\n")), *[refuses(503)] * 8]
    with pytest.raises(ModelUnavailable, match="503"):
        evaluated(server, tmp_path / "run")
    kept = (tmp_path / "run" / SAMPLES).read_bytes()
    assert [from_json(Sample, line).task_id for line in kept.splitlines()] == ["T/0"]
    server.trouble, before = [], len(server.asked)
    report = evaluated(server, tmp_path / "run")
    assert report.outcomes["passed"] == report.samples == 3
    assert (tmp_path / "run" / SAMPLES).read_bytes().startswith(kept)
    assert len(server.asked) - before == 2


async def _at_once(seconds: float) -> None:
    """Wait for nothing."""


def test_the_package_is_asked_for_where_it_is_missing(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UsageError, match=r"pip install 'code-harness\[openai\]'"):
        ServerModel.connect(MODEL, server.base_url)
