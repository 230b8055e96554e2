"""Writing samples and judging them, together and each on its own machine, come to the same report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jobs import wait_until
from scripted import Scripted, asked_for

from harness.cli import main
from harness.commands import print_written
from harness.errors import ModelUnavailable, StoreMismatch, UsageError
from harness.evaluation import EvalConfig, evaluate, generate
from harness.models.seam import Prompt
from harness.records import Sample, Verdict
from harness.sources import Decoding
from harness.store import read_config, read_lines, read_report
from sandbox import SandboxError

TASKS = 6


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """A file of tasks that `return x` solves."""
    path = tmp_path / "tasks.jsonl"
    with path.open("w") as file:
        for number in range(TASKS):
            test = f"def check(candidate):\n    assert candidate({number}) == {number}\n"
            task = {
                "task_id": f"T/{number}",
                "prompt": f"def f{number}(x):\n",
                "entry_point": f"f{number}",
                "test": test,
            }
            file.write(json.dumps(task | {"canonical_solution": "    return x\n", "tier": "easy"}) + "\n")
    return path


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Scripted:
    made = Scripted()
    monkeypatch.setattr("harness.backends._load", lambda name, options: made)
    return made


@pytest.fixture
def no_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine on which nothing that opens a sandbox may be called."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a sandbox was asked for")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.cells.open_sandbox", opened)
        patch.setattr("harness.evaluation.open_cells", opened)
        yield patch


def judged(config: EvalConfig, require: Any) -> dict[str, Any]:
    """Evaluate and return the report as it lies on the disk, without what no two runs share."""
    try:
        evaluate(config)
    except SandboxError as error:
        require(False, f"local cells: {error}")
        raise
    report: dict[str, Any] = json.loads((config.out / "report.json").read_text())
    assert report.pop("seconds") > 0
    return report


def at_the_last(condition: Callable[[], object], what: str) -> Callable[[Prompt], None]:
    """Return what a model does before it answers: at the last task, wait until there is something."""

    def waits(prompt: Prompt) -> None:
        if prompt.task_id == f"T/{TASKS - 1}":
            wait_until(condition, what)

    return waits


@pytest.mark.slow
def test_samples_that_were_written_elsewhere_end_in_the_report_of_a_whole_run(
    tasks: Path, tmp_path: Path, model: Scripted, no_sandbox: pytest.MonkeyPatch, require: Any
) -> None:
    decoding = Decoding(n_samples=2, temperature=0.5, seed=3)
    (written,) = generate(asked_for(tasks, tmp_path / "gpu", decoding=decoding))
    assert (written.samples, written.total) == (2 * TASKS, 2 * TASKS)
    left = {path.name for path in (tmp_path / "gpu").iterdir()}
    assert {"run.json", "samples.jsonl"} <= left
    assert "report.json" not in left
    assert not (tmp_path / "gpu" / "verdicts.jsonl").read_bytes()
    assert read_config(tmp_path / "gpu").sandbox == ""
    no_sandbox.undo()

    no_model = {"model": None, "decoding": Decoding()}
    shutil.copytree(tmp_path / "gpu", tmp_path / "copied")
    before = (tmp_path / "copied" / "samples.jsonl").read_bytes()
    here = judged(asked_for(tasks, tmp_path / "here", samples=tmp_path / "copied", **no_model), require)
    in_place = judged(asked_for(tasks, tmp_path / "copied", samples=tmp_path / "copied", **no_model), require)
    assert (
        (tmp_path / "copied" / "samples.jsonl").read_bytes()
        == before
        == (tmp_path / "here" / "samples.jsonl").read_bytes()
    )
    assert len(model.asked) == 2 * TASKS
    whole = judged(asked_for(tasks, tmp_path / "whole", decoding=decoding), require)
    assert here == in_place == whole
    assert (whole["model"], whole["protocol"]) == ("org/scripted", "default")
    assert whole["tokens"]["completion"] == 4 * 2 * TASKS
    run, judging = read_config(tmp_path / "whole"), read_config(tmp_path / "here")
    assert judging.origin == str(tmp_path / "copied")
    assert replace(judging, origin="", versions=run.versions) == run
    assert judging.versions == run.versions


@pytest.mark.slow
def test_the_same_command_goes_on_with_samples_that_were_only_written(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    config = asked_for(tasks, tmp_path / "run")
    generate(config)
    report = judged(config, require)
    assert report["outcomes"]["passed"] == 2
    assert len(model.asked) == TASKS
    before = {name: (tmp_path / "run" / name).read_bytes() for name in ("run.json", "verdicts.jsonl", "report.json")}
    generate(config)  # of a run that is judged, nothing changes
    assert before == {name: (tmp_path / "run" / name).read_bytes() for name in before}
    with pytest.raises(StoreMismatch, match="seed was 0, now 1"):
        generate(replace(config, decoding=Decoding(seed=1)))


def test_counts_of_completions_stand_beside_their_outcomes(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    report = judged(asked_for(tasks, tmp_path / "run"), require)
    assert {name: count for name, count in report["outcomes"].items() if count} == {
        "passed": 2,
        "failed": 2,
        "no_code": 1,
        "truncated": 1,
    }
    assert (report["truncated_completions"], report["no_code"]) == (1, 1)


@pytest.mark.slow
def test_a_model_that_fails_keeps_its_samples_and_they_are_judged(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    def fails(prompt: Prompt) -> None:
        if prompt.task_id == "T/4":
            raise ModelUnavailable("the device is lost")

    config, model.before = asked_for(tasks, tmp_path / "run"), fails
    for step in (generate, evaluate):
        try:
            with pytest.raises(ModelUnavailable, match="the device is lost"):
                step(config)
        except SandboxError as error:
            require(False, f"local cells: {error}")
        assert [one.task_id for one in read_lines(config.out / "samples.jsonl", Sample)] == [f"T/{n}" for n in range(4)]
    assert len(list(read_lines(config.out / "verdicts.jsonl", Verdict))) == 4
    with pytest.raises(UsageError, match=r"holds 4 samples of 4 of 6 tasks.*--partial"):
        evaluate(replace(config, model=None, samples=config.out, out=tmp_path / "half"))
    model.before = None
    assert judged(config, require)["samples"] == TASKS
    assert len(model.asked) == TASKS


def test_what_there_is_of_a_run_is_judged_when_asked_for(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    config = asked_for(tasks, tmp_path / "run")
    generate(config)
    path = tmp_path / "run" / "samples.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    report = judged(replace(config, model=None, samples=config.out, out=tmp_path / "half", partial=True), require)
    assert (report["samples"], report["missing_tasks"]) == (4, ["T/4", "T/5"])
    assert report["stopped_early"] is True


def test_the_first_verdict_is_there_before_the_last_sample_is_asked_for(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    verdicts = tmp_path / "run" / "verdicts.jsonl"
    model.before = at_the_last(verdicts.read_bytes, "a verdict while the model writes")
    assert judged(asked_for(tasks, tmp_path / "run"), require)["samples"] == TASKS


def test_a_run_of_other_data_is_refused(tasks: Path, tmp_path: Path, model: Scripted) -> None:
    generate(asked_for(tasks, tmp_path / "run"))
    stored = {"model": None, "samples": tmp_path / "run", "out": tmp_path / "other"}
    tasks.write_text(tasks.read_text().replace("== 0", "== 1"))
    with pytest.raises(UsageError, match="put that data where"):
        evaluate(asked_for(tasks, **stored))
    tasks.rename(tmp_path / "renamed.jsonl")
    with pytest.raises(UsageError, match="holds samples of 'tasks', not of 'renamed'"):
        evaluate(asked_for(tmp_path / "renamed.jsonl", **stored))


def test_a_run_without_verdicts_says_what_to_type(
    tasks: Path, tmp_path: Path, model: Scripted, capsys: pytest.CaptureFixture[str]
) -> None:
    written = generate(asked_for(tasks, tmp_path / "run"))
    print_written(written, "--workers 3", as_json=False)
    said = capsys.readouterr().out
    assert f"6 of 6 samples in {tmp_path / 'run'}" in said
    assert f"harness eval --samples {tmp_path / 'run'} --tasks {tasks} --workers 3\n" in said
    print_written(written, "", as_json=True)
    assert json.loads(capsys.readouterr().out)["samples"] == 6
    with pytest.raises(UsageError, match="none is judged yet"):
        read_report(tmp_path / "run")


def test_the_two_commands_on_a_machine_without_a_sandbox_and_one_without_a_model(
    tasks: Path, tmp_path: Path, no_sandbox: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    run = str(tmp_path / "run")
    written = CliRunner().invoke(
        main, ["eval", "--model", "canonical", "--tasks", str(tasks), "--out", run, "--generate-only", "--workers", "1"]
    )
    assert written.exit_code == 0, written.output
    assert f"harness eval --samples {run} --tasks {tasks} --workers 1\n" in written.stdout
    assert "none is judged yet" in str(CliRunner().invoke(main, ["show", run]).exception)
    no_sandbox.undo()
    typed = written.stdout.split("harness eval ")[1].split()
    judged = CliRunner().invoke(main, ["eval", *typed, "--sandbox", "local", "--json"])
    assert judged.exit_code == 0, judged.output
    assert json.loads(judged.stdout)["outcomes"]["passed"] == TASKS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--samples", "RUN", "--temperature", "0.5", "--batch-size", "3"],
            "--temperature, --batch-size: about writing",
        ),
        (["--samples", "RUN", "--backend", "openai"], "--backend: about writing"),
        (["--samples", "RUN", "--no-resume"], "--no-resume would delete the samples"),
        (["--samples", "RUN", "--generate-only"], "--generate-only has a model write"),
        (["--model", "canonical", "--partial", "--generate-only"], "--generate-only has a model write"),
    ],
)
def test_options_that_could_change_nothing_are_refused(
    tasks: Path, tmp_path: Path, model: Scripted, words: list[str], said: str
) -> None:
    generate(asked_for(tasks, tmp_path / "run"))
    before = (tmp_path / "run" / "samples.jsonl").read_bytes()
    typed = [str(tmp_path / "run") if word == "RUN" else word for word in words]
    refused = CliRunner().invoke(main, ["eval", "--tasks", str(tasks), *typed])
    assert isinstance(refused.exception, UsageError)
    assert said in str(refused.exception)
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == before


@pytest.mark.slow
def test_programs_of_other_rules_are_judged_while_the_model_writes(
    tasks: Path, tmp_path: Path, model: Scripted, require: Any
) -> None:
    audited = tmp_path / "run" / "audit.jsonl"
    model.texts = ("It is:\n```python\n    return x\n```\nYes.",)
    model.before = at_the_last(audited.exists, "something audited while the model writes")
    whole = asked_for(tasks, tmp_path / "run", decoding=Decoding(protocol="codex", n_samples=1))
    loss = judged(whole, require)["extraction_loss"]
    assert loss["samples"] == loss["by_rule"]["prompted"] == TASKS
    before = audited.read_bytes()
    (tmp_path / "run" / "report.json").unlink()
    audited.write_bytes(b"".join(before.splitlines(keepends=True)[:3]))  # as if it had been killed
    assert judged(whole, require)["extraction_loss"] == loss
    assert len(audited.read_bytes().splitlines()) == len(before.splitlines())
    without = replace(whole, out=tmp_path / "without", audit=False)
    assert judged(without, require)["extraction_loss"] is None
    assert not (tmp_path / "without" / "audit.jsonl").exists()
