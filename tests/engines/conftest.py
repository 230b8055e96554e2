"""What tests of vLLM share: one checkpoint, one engine in this process, one server beside it.

They need a package that does not go with those of other tests, so they have an environment of their own: `make vllm`.
Elsewhere they are skipped, in CI as well; there, where it is missing they fail.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

import pytest

if TYPE_CHECKING:
    from harness.models.local import LocalModel
    from harness.models.vllm_engine import VllmModel

NAME = "singer"
TEMPLATE = (
    "{% for m in messages %}{{ '<|other|>' + m.role + ':' + m.content | trim + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|other|>assistant:' }}{% endif %}"
)
START_SECONDS = 600  # on a machine that does other things as well


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not item.get_closest_marker("vllm") or find_spec("vllm"):
        return
    if os.environ.get("HARNESS_VLLM") == "1":
        pytest.fail("vLLM is not installed in the environment that is made for it", pytrace=False)
    pytest.skip("needs vLLM, which has an environment of its own: make vllm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.timeout(1500))
            for kind in ("DeprecationWarning", "FutureWarning"):  # vLLM and torch warn of each other
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session", autouse=True)
def little_memory() -> Iterator[None]:
    """Have engines on a CPU take a GiB for their cache, and not most of what there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkpoint that dreams, chats, and knows words at which to end; see `made_checkpoints`."""
    from made_checkpoints import make_singer

    path = tmp_path_factory.mktemp("checkpoints") / NAME
    make_singer(path)
    (path / "chat_template.jinja").write_text(TEMPLATE)
    return path


@pytest.fixture(scope="session")
def reference(folder: Path) -> LocalModel:
    """Return that checkpoint as transformers runs it."""
    from harness.models.local import LocalModel

    return LocalModel.load(str(folder), device="cpu")


@pytest.fixture(scope="session")
def engine(folder: Path) -> Iterator[VllmModel]:
    """Return that checkpoint as vLLM runs it."""
    from harness.model_options import ModelOptions
    from harness.models.vllm_engine import VllmModel

    model = VllmModel.load(str(folder), ModelOptions(backend="vllm", enforce_eager=True))
    yield model
    model.close()


@pytest.fixture(scope="session")
def base_url(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a `vllm serve` that serves that checkpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    options = ["--served-model-name", NAME, "--dtype", "float32", "--enforce-eager", "--port", str(port)]
    # What `vllm serve` starts. That command asks for the version of a package called vllm, and here it is vllm-cpu.
    module = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command = [*module, "--host", "127.0.0.1", *options]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as server:
        try:
            _wait_for(f"http://127.0.0.1:{port}/health", server, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urlopen(address, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"vllm serve does not answer: {log.read_text()[-3000:]}")
