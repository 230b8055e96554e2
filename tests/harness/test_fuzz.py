"""Whatever is read that anybody may have written: no bytes break it. Longer: `make fuzz`."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fuzz_targets import SEEDS, TARGETS, WORDS
from hypothesis import given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[2]


@st.composite
def changed(draw: st.DrawFn, name: str) -> bytes:
    """Return a seed in which a few places are cut out, repeated or written over."""
    data = draw(st.sampled_from(SEEDS[name]))
    pieces = st.binary(max_size=6) | st.sampled_from([word.encode() for word in WORDS])
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 12)))
        data = data[:start] + draw(pieces) * draw(st.sampled_from([1, 1, 2, 300])) + data[end:]
    return data


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_keep_the_promises(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_it(name: str) -> None:
    @settings(max_examples=150, deadline=5000)
    @given(changed(name) | st.binary(max_size=300))
    def attack(data: bytes) -> None:
        TARGETS[name](data)

    attack()


def test_a_target_notices_what_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_targets.extract_program", lambda task, text: text.upper())
    monkeypatch.setattr("fuzz_targets._are_right", lambda lines: False)
    with pytest.raises(AssertionError):
        TARGETS["completion"](b"x")
    with pytest.raises(AssertionError):
        TARGETS["replies"](SEEDS["replies"][0])


@pytest.mark.slow
def test_the_longer_job_runs(require: Any) -> None:
    if platform.machine() != "x86_64":
        pytest.skip("atheris is made for x86-64 alone")
    require(importlib.util.find_spec("atheris"), "atheris")
    command = [sys.executable, ROOT / "tests" / "fuzz.py", "--seconds", "2", "--target", "completion"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "nothing broke: completion" in ran.stdout
