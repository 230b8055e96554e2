"""Why two runs differ: the fields of their configurations, and a cause for each flipped task that their files show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from made_runs import CONFIG, verdict

from harness.causes import Cause
from harness.chat import Message
from harness.cli import main
from harness.errors import UsageError
from harness.explain import GROUPS, Explanation, explain
from harness.prompts import AskedPrompt
from harness.records import Benchmark, Outcome, RunConfig, Sample, StopReason
from harness.report import Tally, build_report
from harness.store import RunFolder

BODY = "    return x\n"


def one(passed: bool | None, completion: str = BODY, index: int = 0, **changes: Any) -> tuple[Sample, bool | None]:
    """Return a sample of task T/0, and whether it passed (None: it was not judged)."""
    plain = Sample(
        task_id="T/0",
        sample_index=index,
        completion=completion,
        program="def f(x):\n" + completion,
        stop_reason=StopReason.STOP,
        extraction="prompted",
    )
    return replace(plain, **changes), passed


def run(
    folder: Path,
    samples: Sequence[tuple[Sample, bool | None]],
    prompt: str | None = None,
    outcome: Outcome = Outcome.FAILED,
    **changes: Any,
) -> Path:
    """Write a finished run; `prompt` is what every task was asked, `outcome` what the samples got that did not pass."""
    ids = tuple(dict.fromkeys(sample.task_id for sample, _ in samples))
    config = replace(CONFIG, **{"task_ids": ids, "backend": "hf", "protocol": "default", **changes})
    tally = Tally()
    with RunFolder(folder, config) as store:
        if prompt is not None:
            store.keep_prompts([AskedPrompt(task_id=task, text=prompt, tokens_digest="t") for task in ids])
        for sample, passed in samples:
            found = verdict(sample.task_id, sample.sample_index, passed)
            found = replace(found, outcome=outcome) if found.outcome is Outcome.FAILED else found
            store.add_sample(sample)
            store.add_verdict(found)
            tally.add_sample(sample)
            tally.add_verdict(found)
        own = Benchmark(name=config.benchmark, tasks=(), digest=config.dataset_digest, source="")
        store.finish(build_report(tally, config, own, store.fingerprint, ()))
    return folder


def explained(tmp_path: Path, before: dict[str, Any], after: dict[str, Any]) -> Explanation:
    return explain(run(tmp_path / "before", **before), run(tmp_path / "after", **after))


OTHER = "    return 7\n"
CUT = "    y = x\n"
CASES: dict[str, tuple[Cause, dict[str, Any], dict[str, Any]]] = {
    "the same completion, another program": (
        Cause.EXTRACTION,
        {"samples": [one(True)]},
        {"samples": [one(False, program="def f(x):", extraction="bigcode")], "extraction": "bigcode"},
    ),
    "the same program, other tests": (
        Cause.TESTS,
        {"samples": [one(True)]},
        {"samples": [one(False)], "benchmark": "toy+", "dataset_digest": "e" * 64},
    ),
    "the same program, another time limit, and it is hit": (
        Cause.LIMITS,
        {"samples": [one(True)]},
        {"samples": [one(False)], "cpu_seconds": 0.5, "outcome": Outcome.TIMEOUT},
    ),
    "a limit that differs is no cause of a wrong value": (
        Cause.TESTS,
        {"samples": [one(True)]},
        {"samples": [one(False)], "cpu_seconds": 0.5, "dataset_digest": "e" * 64},
    ),
    "the same program, tests and limits": (Cause.MACHINE, {"samples": [one(True)]}, {"samples": [one(False)]}),
    "other prompts": (
        Cause.PROMPT,
        {"samples": [one(True)], "prompt": "def f(x):\n"},
        {"samples": [one(False, OTHER)], "prompt": "def f(x):", "protocol": "bigcode", "model_digest": "x"},
    ),
    "no prompt on record, but the same model read another number of tokens": (
        Cause.PROMPT,
        {"samples": [one(True, prompt_tokens=5)]},
        {"samples": [one(False, OTHER, prompt_tokens=6)]},
    ),
    "no prompt on record, and another protocol": (
        Cause.UNKNOWN,
        {"samples": [one(True)]},
        {"samples": [one(False, OTHER)], "protocol": "bigcode"},
    ),
    "the same text up to a stop string of one run": (
        Cause.STOP_STRINGS,
        {"samples": [one(True, CUT + BODY)], "stop": ("\ndef ",)},
        {"samples": [one(False, CUT)], "stop": ("\ndef ", "    return")},
    ),
    "the same text up to where it was truncated": (
        Cause.TOKEN_LIMIT,
        {"samples": [one(True, CUT + BODY)], "max_new_tokens": 512},
        {"samples": [one(False, CUT, stop_reason=StopReason.LENGTH)], "max_new_tokens": 4},
    ),
    "the same text up to where prompt and answer were full": (
        Cause.TOKEN_LIMIT,
        {"samples": [one(True, CUT + BODY)]},
        {"samples": [one(False, CUT, stop_reason=StopReason.LENGTH)], "max_length": 512},
    ),
    "another text by another model": (
        Cause.MODEL,
        {"samples": [one(True)], "prompt": "p"},
        {"samples": [one(False, OTHER)], "prompt": "p", "model_digest": "x"},
    ),
    "another text by another seed": (
        Cause.DECODING,
        {"samples": [one(True)], "prompt": "p"},
        {"samples": [one(False, OTHER)], "prompt": "p", "seed": 1},
    ),
    "another text, and more than one thing differs": (
        Cause.GENERATION,
        {"samples": [one(True)], "prompt": "p"},
        {"samples": [one(False, OTHER)], "prompt": "p", "seed": 1, "model_digest": "x"},
    ),
    "another text by the same settings": (
        Cause.ENGINE,
        {"samples": [one(True)], "prompt": "p"},
        {"samples": [one(False, OTHER)], "prompt": "p"},
    ),
    "a prefix that no stop string has cut is another text": (
        Cause.MODEL,
        {"samples": [one(True, CUT + BODY)], "prompt": "p", "stop": ("\ndef ",)},
        {"samples": [one(False, CUT)], "prompt": "p", "stop": ("\nclass ",), "model_digest": "x"},
    ),
    "more samples, those that both have alike": (
        Cause.NUMBER,
        {"samples": [one(True)]},
        {"samples": [one(True), one(False, OTHER, 1)], "n_samples": 2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_flip_is_attributed_by_what_the_files_show(name: str, tmp_path: Path) -> None:
    cause, before, after = CASES[name]
    found = explained(tmp_path, before, after)
    (flip,) = found.flips
    assert (list(flip.causes), found.causes) == ([cause], {cause: 1})
    assert flip.evidence
    assert flip.before > flip.after


def test_the_same_prompt_that_is_read_as_other_tokens(tmp_path: Path) -> None:
    before = run(tmp_path / "before", [one(True)], prompt="p")
    after = run(tmp_path / "after", [one(False, OTHER)], prompt="p", tokenizer_digest="other")
    path = after / "prompts.jsonl"
    path.write_text(path.read_text().replace('"t"', '"u"'))
    assert explain(before, after).causes == {Cause.TOKENIZER: 1}


def test_rates_of_several_samples_and_a_task_with_two_causes(tmp_path: Path) -> None:
    before = [one(True, index=index) for index in range(4)]
    after = [one(True), one(False, program="", index=1), one(False, program="", index=2), one(False, OTHER, 3)]
    found = explained(tmp_path, {"samples": before, "prompt": "p"}, {"samples": after, "prompt": "p", "seed": 1})
    (flip,) = found.flips
    assert (flip.before, flip.after) == (1.0, 0.25)
    assert flip.causes == {Cause.EXTRACTION: 2, Cause.DECODING: 1}
    assert found.causes == {Cause.EXTRACTION: 1}


def test_what_was_not_judged_and_what_did_not_change_is_no_flip(tmp_path: Path) -> None:
    before = [one(True), one(True, task_id="T/1"), one(True, task_id="T/2"), one(True, task_id="T/3")]
    after = [one(None), one(True, OTHER, task_id="T/1"), one(False, task_id="T/2")]
    found = explained(tmp_path, {"samples": before}, {"samples": after})
    assert [flip.task_id for flip in found.flips] == ["T/2"]
    assert (found.tasks, found.only_one, found.before, found.after) == (2, 2, 1.0, 0.5)


def test_settings_are_told_group_by_group_and_entry_by_entry(tmp_path: Path) -> None:
    before = {"samples": [one(True)], "runtime": {"dtype": "float32", "device": "cpu"}, "versions": {"torch": "1"}}
    after = {"samples": [one(True)], "runtime": {"dtype": "bfloat16", "device": "cpu"}, "temperature": 0.8}
    before["tiers"], after["tiers"] = {"T/0": "easy", "T/1": "easy"}, {"T/0": "hard", "T/1": "easy"}
    found = explained(tmp_path, before, after)
    assert [(one.group, one.name, one.before, one.after) for one in found.settings] == [
        ("model", "runtime.dtype", "float32", "bfloat16"),
        ("decoding", "temperature", "0.0", "0.8"),
        ("tiers", "tiers", "of 2 tasks", "of 2 tasks, 1 not the same"),
        ("versions", "versions.torch", "1", "none"),
    ]


def test_every_field_of_a_run_belongs_to_one_group() -> None:
    grouped = [name for names in GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(field.name for field in fields(RunConfig))


def test_prompts_that_differ_are_shown_as_a_small_diff(tmp_path: Path) -> None:
    text = "".join(f"line {n}\n" for n in range(60))
    before = {"samples": [one(True), one(True, task_id="T/1")], "prompt": text}
    after = {"samples": [one(True), one(True, task_id="T/1")], "prompt": text + "\x1b[2J"}
    found = explained(tmp_path, before, after).prompts
    assert found is not None
    assert (found.tasks, found.task_id) == (2, "T/0")
    assert found.diff[-1] == "+\\x1b[2J"
    assert len(found.diff) < 6
    chat = run(tmp_path / "chat", [one(True)])
    asked = AskedPrompt(task_id="T/0", messages=(Message(role="user", content="line 0\n"),))
    (chat / "prompts.jsonl").write_text(json.dumps({"task_id": asked.task_id, "messages": [["user"]]}) + "\n")
    with pytest.raises(UsageError, match=r"prompts\.jsonl:1: not a AskedPrompt"):
        explain(tmp_path / "before", chat)
    with RunFolder(tmp_path / "chat", replace(CONFIG, task_ids=("T/0",), backend="hf", protocol="default")) as store:
        (chat / "prompts.jsonl").unlink()
        store.keep_prompts([asked])
    found = explain(tmp_path / "before", chat).prompts
    assert found is not None
    assert "+<user>\\n" in found.diff


def test_runs_of_other_tasks_are_refused(tmp_path: Path) -> None:
    before = run(tmp_path / "before", [one(True)])
    after = run(tmp_path / "after", [one(True, task_id="Mbpp/2")], benchmark="mbpp")
    with pytest.raises(UsageError, match=r"'toy'.* 'mbpp': they have no judged task in common"):
        explain(before, after)


def harness(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_the_command_prints_a_table_or_one_document(tmp_path: Path) -> None:
    before = run(tmp_path / "before", [one(True)], prompt="def f(x):\n")
    after = run(tmp_path / "after", [one(False, program="\x1b]0;owned\x07", extraction="bigcode")], prompt="def f(x):")
    said = harness("explain", before, after)
    assert said.exit_code == 0
    for text in (
        "pass@1 over these: 100.0% -> 0.0%",
        "1 tasks flipped, by cause: extraction 1",
        "were asked otherwise",
    ):
        assert text in said.output
    assert all(character.isprintable() or character == "\n" for character in said.output)
    document = json.loads(harness("explain", before, after, "--json").output)
    assert document["flips"][0]["causes"] == {"extraction": 1}
    same = harness("explain", before, before).output
    assert "their settings are the same" in same
    assert "no task flipped" in same
