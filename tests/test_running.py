"""How `make test` runs the tests: side by side, then those that want the machine to themselves, and none is lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MIXED = ("tests/harness/test_same_verdicts.py", "tests/harness/test_evaluation.py")  # some of their tests are alone


def collected(*options: str) -> set[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *options, *MIXED]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return {line for line in ran.stdout.splitlines() if "::" in line}


@pytest.mark.slow
def test_every_test_is_in_one_of_the_two_parts() -> None:
    beside, alone = collected("--alone", "never"), collected("--alone", "only")
    assert beside.isdisjoint(alone)
    assert beside | alone == collected()
    assert beside
    names = {test.rpartition("::")[2] for test in alone}
    assert "test_a_busy_machine_gives_the_same_verdicts" in names  # by its marker
    assert "test_a_run_waits_for_an_engine_that_is_restarted" in names  # since it kills an engine


PYTEST = """#!/bin/sh
echo "$*" >> calls
case "$*" in *"--alone only"*) exit {second} ;; *) exit {first} ;; esac
"""


@pytest.mark.parametrize(
    ("first", "second", "passes", "calls"),
    [
        (0, 0, True, 2),
        (0, 5, True, 2),  # 5 is pytest's "no tests"
        (5, 0, True, 2),
        (5, 5, False, 2),
        (1, 0, False, 2),
        (1, 5, False, 2),
        (0, 1, False, 2),
        (5, 1, False, 2),
        (2, 0, False, 1),  # interrupted
        (4, 0, False, 1),
    ],
)
def test_make_test_fails_when_either_part_does(
    first: int, second: int, passes: bool, calls: int, tmp_path: Path, require: Callable[[object, str], None]
) -> None:
    require(shutil.which("make"), "make")
    fake = tmp_path / "pytest"
    fake.write_text(PYTEST.format(first=first, second=second))
    fake.chmod(0o755)
    command = ["make", "-f", str(ROOT / "Makefile"), "-o", "made", "DEV=made", f"PYTEST={fake}", "test", "ARGS=-k x"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode == 0) == passes, ran.stdout + ran.stderr
    said = (tmp_path / "calls").read_text().splitlines()
    assert len(said) == calls
    assert all(line.endswith("-k x") for line in said)
    assert "--alone never" in said[0]
