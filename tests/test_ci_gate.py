"""CI for real: the steps of action.yml are run on the example repository, as a runner would run them.

A good student passes, a broken one fails the job. The step that installs is left out: the harness of this
environment is the one under test, and there is no network.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.runs import load_baselines

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "examples" / "ci-gate"
INPUT = re.compile(r"\$\{\{ inputs\.([\w-]+) \}\}")


@pytest.fixture(scope="module", autouse=True)
def _needs(require: Any) -> None:
    from sandbox import examine

    require(importlib.util.find_spec("yaml"), "PyYAML")
    require(any(one.ok for one in examine() if one.name in ("docker", "local")), "a sandbox that works")
    require(shutil.which("bash"), "bash")


def read_yaml(path: Path) -> Any:
    import yaml

    return yaml.safe_load(path.read_text(encoding="utf-8"))


def action() -> dict[str, Any]:
    read: dict[str, Any] = read_yaml(ROOT / "action.yml")
    return read


@dataclass(frozen=True)
class Job:
    """What a job left behind."""

    code: int
    printed: str
    summary: str
    outputs: str
    folder: Path


def run_action(folder: Path, **inputs: str) -> Job:
    """Run the action's steps behind the installing one, in `folder`; underscores in input names are dashes."""
    given = {name.replace("_", "-"): value for name, value in inputs.items()}
    declared = action()["inputs"]
    assert set(given) <= set(declared)
    values = {name: given.get(name, one.get("default")) for name, one in declared.items()}
    assert None not in values.values(), "a required input is not given"
    files = {name: folder / f".{name}" for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT")}
    paths = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PATH": paths, "GITHUB_ACTIONS": "true", **{name: str(path) for name, path in files.items()}}
    code, printed = 0, ""
    for step in action()["runs"]["steps"][1:]:
        environment = {name: INPUT.sub(lambda found: values[found[1]], text) for name, text in step["env"].items()}
        ran = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder,
            env={**os.environ, **environment, **settings},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        code, printed = ran.returncode, printed + ran.stdout + ran.stderr
        if code:
            break
    texts = {name: path.read_text(encoding="utf-8") if path.exists() else "" for name, path in files.items()}
    return Job(code, printed, texts["GITHUB_STEP_SUMMARY"], texts["GITHUB_OUTPUT"], folder)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "repository"))


def workflow_inputs(**changes: str) -> dict[str, str]:
    """Return what the example's workflow passes to the action, with changes."""
    steps = read_yaml(EXAMPLE / ".github" / "workflows" / "gate.yml")["jobs"]["gate"]["steps"]
    (given,) = [step["with"] for step in steps if "/harness@" in step["uses"]]
    return {**{name.replace("-", "_"): value for name, value in given.items()}, **changes}


@pytest.mark.slow
def test_a_good_student_passes_the_example_as_it_is(repository: Path) -> None:
    job = run_action(repository, **workflow_inputs())
    assert job.code == 0, job.printed
    assert "gate: passed" in job.printed
    assert job.summary.startswith("### gate: passed\n")
    assert job.outputs == "exit-code=0\n"
    assert ElementTree.parse(repository / "harness-gate.xml").getroot().get("failures") == "0"
    assert json.loads((repository / "harness-run" / "report.json").read_text())["outcomes"]["passed"] == 18


@pytest.mark.slow
def test_a_broken_student_fails_the_job(repository: Path) -> None:
    job = run_action(repository, **workflow_inputs(samples="samples/broken.jsonl"))
    assert job.code == 1, job.printed
    assert "::error title=harness gate::tasks: regressed: -55.0 points" in job.printed
    assert job.summary.startswith("### gate: regressed\n")
    assert "11 tasks worse: Small/" in job.summary
    assert job.outputs == "exit-code=1\n"
    suite = ElementTree.parse(repository / "harness-gate.xml").getroot()
    assert suite.get("failures") == "1"


@pytest.mark.slow
def test_a_broken_student_fails_the_job_early(repository: Path) -> None:
    inputs = workflow_inputs(samples="samples/broken.jsonl", sequential="true", eval_options="--workers=1\n")
    job = run_action(repository, **inputs)
    assert job.code == 1, job.printed
    report = json.loads((repository / "harness-run" / "report.json").read_text())
    assert report["stopped_early"]
    assert report["samples"] < 20


@pytest.mark.slow
def test_further_rules_and_options_reach_the_commands(repository: Path) -> None:
    inputs = workflow_inputs(minimum="pass@1=0.5\npass@1=0.95\n", eval_options="--workers\n1\n", strict="true")
    job = run_action(repository, **inputs, tier_max_drop="50", alpha="0.01", out="elsewhere", junit="junit.xml")
    assert job.code == 1, job.printed
    suite = ElementTree.parse(repository / "junit.xml").getroot()
    assert {case.get("name") for case in suite if case.find("failure") is not None} == {
        "tasks, pass@1 at least 95.0%",
    }
    assert "tasks, tier hard" in {case.get("name") for case in suite}
    assert (repository / "elsewhere" / "report.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "hostile", ["$(touch owned)", '"; touch owned; "', "`touch owned`", "--out=owned", "x\ntouch owned", "${IFS}"]
)
def test_an_input_is_never_a_part_of_the_script(repository: Path, hostile: str) -> None:
    texts = {name.replace("-", "_"): hostile for name in action()["inputs"] if name not in ("strict", "sequential")}
    for changes in (texts, {**texts, "samples": "samples/good.jsonl", "tasks": "tasks.jsonl", "eval_options": ""}):
        job = run_action(repository, **workflow_inputs(**{**changes, "model": ""}))
        assert job.code == 2, job.printed
    assert not (repository / "owned").exists()


def test_scripts_have_no_expressions_in_them() -> None:
    for step in action()["runs"]["steps"]:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
        checked = subprocess.run(["bash", "-n"], input=step["run"], text=True, capture_output=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_every_input_is_used_and_described() -> None:
    used = {name for step in action()["runs"]["steps"] for text in step["env"].values() for name in INPUT.findall(text)}
    assert used == set(action()["inputs"])
    assert all(one["description"] for one in action()["inputs"].values())


@pytest.mark.slow
def test_the_committed_baseline_is_what_its_commands_write(repository: Path) -> None:
    for words in (
        ["eval", "--samples", "samples/first.jsonl", "--tasks", "tasks.jsonl", "--out", "runs/first"],
        ["baseline", "runs/first", "--out", "again.json"],
    ):
        at = [str(repository / word) if "/" in word or "." in word else word for word in words]
        ran = CliRunner().invoke(main, at)
        assert ran.exit_code == 0, ran.output
    (committed,), (again,) = load_baselines(repository / "baseline.json"), load_baselines(repository / "again.json")
    assert (committed.counts, committed.dataset_digest) == (again.counts, again.dataset_digest)
    assert (committed.protocol, committed.model) == (again.protocol, again.model)


@pytest.mark.parametrize("path", ["examples/gitlab-ci.yml", "examples/pre-commit-config.yaml"])
def test_other_examples_name_commands_and_options_that_exist(path: str) -> None:
    text = json.dumps(read_yaml(ROOT / path))
    commands = re.findall(r"harness (eval|gate) ([^\"\\]*(?:\\\"[^\"\\]*)*)", text)
    assert {name for name, _ in commands} == {"eval", "gate"}
    for name, words in commands:
        known = {spelling for option in main.commands[name].params for spelling in option.opts}
        assert {word for word in words.split() if word.startswith("--")} <= known
