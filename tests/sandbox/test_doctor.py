"""The examination of this machine: bounded in time, one fix per finding, and true about cells."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from sandbox.doctor import Finding, examine

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Collect the socket that Docker's SDK leaves open where it could not connect, while that is no error."""
    yield
    gc.collect()


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    named = {finding.name: finding for finding in findings}
    assert len(named) == len(findings)
    return named


@pytest.mark.slow
def test_every_question_has_one_answer_within_15_seconds() -> None:
    start = time.monotonic()
    found = by_name(examine())
    assert time.monotonic() - start < 15
    assert {"python", "machine", "docker", "local", "load", "memory", "disk", "clock"} <= set(found)
    assert all(finding.detail for finding in found.values())
    assert all(finding.fix for finding in found.values() if not finding.ok)
    assert found["python"].ok


@pytest.mark.slow
@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:9"])
def test_an_engine_that_does_not_answer_is_a_finding_with_a_fix(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    found = by_name(examine())
    assert not found["docker"].ok
    assert "engine" in found["docker"].fix
    assert "docker image" not in found


@pytest.mark.slow
def test_a_cache_that_cannot_be_used_is_a_finding_with_a_fix(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    blocked = tmp_path_factory.mktemp("cache") / "file"
    blocked.write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(blocked / "cache"))
    found = by_name(examine())
    assert not found["local"].ok
    assert "HARNESS_CACHE" in found["local"].fix
