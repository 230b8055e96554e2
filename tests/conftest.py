"""What tests share: where the published data files are, skips that are failures in CI, and who runs beside whom.

On a developer's machine a test that needs what is not there is skipped; with HARNESS_CI=1 it fails instead, so that
CI never passes by skipping.

`make test` runs pytest twice: with pytest-xdist, side by side, and then the tests marked `alone`, one after the other.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from benchmarks.engine import Engine, cannot_start, engine_of_our_own

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("HARNESS_DATA") or ROOT.parent / "shared" / "data")
DATA_FILES = (
    "HumanEvalPlus.jsonl.gz",
    "HumanEvalPlus-Mini.jsonl.gz",
    "MbppPlus.jsonl.gz",
    "mbpp.jsonl",
    "sanitized-mbpp.json",
    "gsm8k_train.jsonl",
    "gsm8k_test.jsonl",
)

# A shell has what it starts in the background ignore Ctrl-C, and so would every harness that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Several trainings at once, each with a thread for every core, take many times as long.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

Require = Callable[[object, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--alone",
        choices=("only", "never"),
        help="run only the tests that want the machine to themselves, or none of them, as -n always does",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.getoption("numprocesses", None) and not config.getoption("--alone"):
        return "with -n, tests marked `alone` are left out; run them without it: --alone only"
    return None


def pytest_sessionstart(session: pytest.Session) -> None:
    """Make what cells are started from, before workers that would all make it at once."""
    if session.config.getoption("numprocesses", None):
        from sandbox import Limits, SandboxError, open_sandbox

        for kind in ("docker", "local"):
            with suppress(SandboxError):  # each test that needs it says so
                open_sandbox(kind, Limits(), 1).close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "own_engine" in getattr(item, "fixturenames", ()):  # it is killed and started again, at the cost of all
            item.add_marker("alone")
    if wanted := "never" if hasattr(config, "workerinput") else config.getoption("--alone"):
        left_out = [item for item in items if (item.get_closest_marker("alone") is None) == (wanted == "only")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def demand(condition: object, what: str) -> None:
    """Skip the test that needs `what`, or fail it under HARNESS_CI=1, unless the condition is true."""
    if condition:
        return
    if os.environ.get("HARNESS_CI") == "1":
        pytest.fail(f"needs {what}, and HARNESS_CI=1 allows no skipping", pytrace=False)
    pytest.skip(f"needs {what}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("data"):
        missing = [name for name in DATA_FILES if not (DATA / name).is_file()]
        demand(not missing, f"{', '.join(missing)} in HARNESS_DATA")


@pytest.fixture(scope="session")
def require() -> Require:
    """Return `require(condition, what)`: skips without the condition, or fails under HARNESS_CI=1."""
    return demand


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder with the published data files; mark the test `data`, too."""
    return DATA


@pytest.fixture
def published_data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set HARNESS_DATA to the published files, for tests that load benchmarks by name; mark the test `data`, too."""
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    return data_dir


@pytest.fixture(scope="session")
def _own_engine(require: Require) -> Iterator[Engine]:
    require(not cannot_start(), f"a second Docker engine ({cannot_start()})")
    with engine_of_our_own() as engine:
        yield engine


@pytest.fixture
def own_engine(_own_engine: Engine) -> Engine:
    """Return a running Docker engine that a test may kill and freeze; the machine's own is nobody's to touch."""
    _own_engine.thaw()
    assert _own_engine.start(), _own_engine.log
    return _own_engine


@pytest.fixture
def small_disk(tmp_path: Path, require: Require) -> Iterator[Path]:
    """Return the folder `run` of the test's own, which is a file system of 24 KiB."""
    require(os.geteuid() == 0 and shutil.which("mount"), "mount, and to be root")
    folder = tmp_path / "run"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
