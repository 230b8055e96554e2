"""The guides are true: the snippets of the analysis guide run, and commands that are shown can be typed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import click
import pytest
from made_runs import write_run

from harness.benchmarks import load_benchmark
from harness.cli import main
from harness.samples import read_samples

ROOT = Path(__file__).resolve().parents[1]
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
LONGEST = 5  # lines, but for imports


def blocks(path: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [str(block) for block in found]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the two runs that the guide speaks of."""
    tiers = {f"Text/{n}": ("easy", "hard")[n % 2] for n in range(6)}
    for name, passed in (("student", 2), ("teacher", 4)):
        passes = {f"Text/{n}": [n < passed, n < passed, None if n == 5 else True] for n in range(6)}
        write_run(tmp_path / "runs" / name, passes, model=name, tiers=tiers)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_analyses_run_as_they_stand(runs: Path, require: Any, capsys: pytest.CaptureFixture[str]) -> None:
    require(importlib.util.find_spec("pandas"), "pandas")
    namespace: dict[str, Any] = {}
    for block in blocks(ROOT / "docs" / "guides" / "analysis.md", "python"):
        lines = [line for line in block.splitlines() if line and not line.startswith("import ")]
        assert len(lines) <= LONGEST
        exec(compile(block, "analysis.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert re.search(r"passed +9\n", printed)  # outcomes of the student: of 18 samples 9 pass, 1 was not judged
    assert re.search(r"failed +8\n", printed)
    assert "toy: +0.222" in printed
    assert "better: Text/2 Text/3 worse:" in printed
    own = load_benchmark(str(ROOT / "examples" / "own_tasks.jsonl"))
    assert read_samples(runs / "samples.jsonl", own, partial=True).samples[0].completion == "    return {}\n"


def test_the_columns_that_the_guide_names_are_those_of_a_frame(runs: Path, require: Any) -> None:
    require(importlib.util.find_spec("pandas"), "pandas")
    from harness import load_run

    introduction = (ROOT / "docs" / "guides" / "analysis.md").read_text(encoding="utf-8").split("\n\n")[1]
    named = set(re.findall(r"`(\w+)`", introduction))
    assert named <= set(load_run("runs/student").to_frame().columns)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_commands_and_options_exist(path: Path) -> None:
    for block in blocks(path, ""):
        for line in block.splitlines():
            if not line.startswith("harness "):
                continue
            own, _, behind = line.split("#")[0].removeprefix("harness ").partition(" -- ")
            for words in (own.split(), ["eval", *behind.split()]):
                command = command_of(words)
                known = {word for one in command.params if isinstance(one, click.Option) for word in one.opts}
                assert {word for word in words if word.startswith("--")} <= known, line


def command_of(words: list[str]) -> click.Command:
    """Return the command that the first words name, also one below a group, also one of another package."""
    command: click.Command = main
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no command {word}"
        command = found
    return command


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\((?!\w+:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []
