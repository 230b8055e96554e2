"""A server of models on this machine that behaves as it is told to, for tests: OpenAI's protocol, well and badly.

It answers from a function; `trouble` says what it does to the first requests instead of answering.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "served/model"

Trouble = Callable[["_Handler"], None]
Answering = Callable[[dict[str, Any]], dict[str, Any]]


def said(text: str, why: str | None = "stop", **more: Any) -> dict[str, Any]:
    """Return an answer as vLLM gives it; `more` replaces parts of it."""
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    choice = {"index": 0, "text": text, "finish_reason": why, "logprobs": None}
    return {"id": "c", "object": "text_completion", "model": MODEL, "choices": [choice], "usage": usage, **more}


def chatted(content: str | None, why: str | None = "stop", **turn: Any) -> dict[str, Any]:
    """Return an answer to a chat as vLLM gives it; `turn` are more fields of what the assistant says."""
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12, "prompt_tokens_details": None}
    message = {"role": "assistant", "content": content, "annotations": None, **turn}
    choice = {"index": 0, "message": message, "finish_reason": why, "logprobs": None}
    return {"id": "c", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}


COMPLETIONS, CHATS = "/v1/completions", "/v1/chat/completions"


@dataclass
class Server:
    """What a server was asked, and what it does. Greetings (one token is asked for) are answered as ever."""

    listing: Any = field(default_factory=lambda: [{"id": MODEL, "object": "model", "root": "/weights", "created": 1}])
    answer: Answering = field(default=lambda request: said(f"<{request['prompt']}>"))
    chat: Answering = field(default=lambda request: chatted(f"<{request['messages'][-1]['content']}>"))
    endpoints: frozenset[str] = frozenset({COMPLETIONS, CHATS})
    trouble: list[Trouble] = field(default_factory=list)  # one for each of the first requests
    always: Trouble | None = None
    spared: frozenset[str] = frozenset()  # prompts that have no trouble, however often they are asked again
    greeting: Trouble | None = None
    objects: Callable[[dict[str, Any]], dict[str, Any] | None] = field(default=lambda request: None)  # the error said
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    base_url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def prompts(self) -> list[Any]:
        """Return the texts or tokens that were asked, in the order of arrival, every attempt."""
        return [one["prompt"] for one in self.asked]

    def trouble_for(self, request: dict[str, Any]) -> Trouble | None:
        """Note a request, and return what is to be done instead of answering it."""
        with self.lock:
            if request.get("max_tokens", request.get("max_completion_tokens")) == 1:
                return self.greeting
            self.asked.append(request)
            if request.get("prompt") in tuple(self.spared):
                return None
            return self.trouble.pop(0) if self.trouble else self.always


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Server

    def do_GET(self) -> None:
        self.send(200, {"object": "list", "data": self.state.listing})

    def do_POST(self) -> None:
        state = self.state
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        state.keys.append(self.headers["authorization"])
        if self.path not in state.endpoints:
            self.send(404, {"error": {"message": f"no endpoint {self.path}"}})
            return
        with state.lock:
            state.at_once += 1
            state.most_at_once = max(state.most_at_once, state.at_once)
        try:
            if trouble := state.trouble_for(request):
                trouble(self)
            elif error := state.objects(request):
                self.send(400, {"error": error})
            elif request["model"] != MODEL:
                self.send(404, {"error": {"message": f"The model `{request['model']}` does not exist."}})
            else:
                self.send(200, (state.answer if self.path == COMPLETIONS else state.chat)(request))
        finally:
            with state.lock:
                state.at_once -= 1

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        """Send a reply: JSON, or bytes as they are."""
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on standard error."""


def refuses(status: int, message: str = "no", headers: dict[str, str] | None = None) -> Trouble:
    """Answer with an error."""
    return lambda handler: handler.send(status, {"error": {"message": message, "code": None}}, headers)


def replies(content: Any, headers: dict[str, str] | None = None) -> Trouble:
    """Answer with this, as if all were well."""
    return lambda handler: handler.send(200, content, headers)


def cuts(handler: _Handler) -> None:
    """Promise more than is sent, and hang up."""
    handler.send_response(200)
    handler.send_header("content-length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices": [{"te')
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def is_silent(handler: _Handler) -> None:
    """Say nothing, for an hour or until the test is over."""
    handler.state.over.wait(3600)
    handler.close_connection = True


def trickles(handler: _Handler) -> None:
    """Send a blank now and then, so that no single read waits for long."""
    handler.send_response(200)
    handler.send_header("content-length", "1000000")
    handler.end_headers()
    handler.close_connection = True
    while not handler.state.over.wait(0.02):
        try:
            handler.wfile.write(b" ")
        except OSError:
            return


@contextmanager
def serving(state: Server | None = None) -> Iterator[Server]:
    """Serve on a free port of this machine until the context is left."""
    state = state or Server()
    server = _Threads(("127.0.0.1", 0), type("Handler", (_Handler,), {"state": state}))
    state.base_url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what some tests are about."""
