"""A limit on prompt and answer together (`bigcode`) in whole runs: what is written, counted, recorded, repeated."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

if os.environ.get("HARNESS_CI") != "1":  # there, a missing package is a failure and no reason to skip
    for package in ("torch", "transformers"):
        pytest.importorskip(package)

from made_checkpoints import make_dreamer

from harness.cli import main
from harness.errors import StoreMismatch
from harness.evaluation import EvalConfig, generate
from harness.records import Report, Sample, StopReason
from harness.rejudge import RejudgeConfig, rejudge
from harness.sources import Decoding
from harness.store import RUN, SAMPLES, read_config, read_lines

pytestmark = [pytest.mark.hf, pytest.mark.slow]

LIMIT = 512
LONG = 600  # characters of a prompt, which are tokens of their own


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with a model, three tasks of which one has no room for an answer, and a run of them."""
    import torch

    place = tmp_path_factory.mktemp("bigcode")
    make_dreamer(place / "dreamer", context=LIMIT + 20)
    with (place / "tasks.jsonl").open("w") as file:
        for number, characters in enumerate((470, 500, LONG)):
            prompt = f"def f{number}(x):  # ".ljust(characters, "~") + "\n"
            row = {"task_id": f"T/{number}", "prompt": prompt, "entry_point": f"f{number}"}
            test = "def check(candidate):\n    assert candidate(1) == 1\n"
            file.write(json.dumps(row | {"canonical_solution": "    return x\n", "test": test}) + "\n")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    written(place, "run")
    yield place
    torch.set_num_threads(before)


def written(place: Path, out: str, limit: int | None = None, **decoding: Any) -> list[Sample]:
    """Return the samples of a run of the first `limit` tasks."""
    tasks, model = (str(place / "tasks.jsonl"),), str(place / "dreamer")
    how = Decoding(protocol="bigcode", n_samples=2, **decoding)
    generate(EvalConfig(tasks=tasks, model=model, out=place / out, limit=limit, decoding=how))
    return list(read_lines(place / out / SAMPLES, Sample))


def test_prompt_and_answer_have_as_many_tokens_as_the_protocol_gives_them(place: Path) -> None:
    config = read_config(place / "run")
    assert (config.max_new_tokens, config.max_length, config.temperature) == (LIMIT, LIMIT, 0.2)
    samples = list(read_lines(place / "run" / SAMPLES, Sample))
    assert len(samples) == 6, "a prompt without room has its samples as well"
    for sample in samples[:4]:
        assert sample.prompt_tokens is not None
        assert sample.completion_tokens is not None
        if sample.stop_reason is StopReason.LENGTH:
            assert sample.prompt_tokens + sample.completion_tokens == LIMIT
        assert sample.prompt_tokens < sample.prompt_tokens + sample.completion_tokens <= LIMIT
    assert any(sample.stop_reason is StopReason.LENGTH for sample in samples[:4])
    for sample in samples[4:]:
        assert (sample.completion, sample.stop_reason, sample.completion_tokens) == ("", StopReason.LENGTH, 0)
        assert sample.prompt_tokens is not None
        assert sample.prompt_tokens > LIMIT + 20, "nor does the model's context hold it"


def test_what_has_no_room_is_said_and_counted(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    written(place, "run")
    assert f"1 of 3 prompts of tasks, first T/2, have {LIMIT} tokens or more" in caplog.text
    report = judged(place, "run")
    assert (report.no_room, report.samples) == (2, 6)
    assert report.outcomes["truncated"] >= 2
    shown = CliRunner().invoke(main, ["show", str(place / "run--bigcode")])
    assert "no room: 2 samples have a prompt with all the tokens" in shown.output


def judged(place: Path, run: str) -> Report:
    config = RejudgeConfig(run=place / run, protocol="bigcode", sandbox="local", workers=1, audit=False)
    out, report = rejudge(config)
    assert (report.protocol, report.caveats) == ("bigcode", ())
    assert read_config(out).max_length == read_config(place / run).max_length
    return report


def test_a_limit_for_the_answer_alone_takes_its_place(place: Path) -> None:
    alone = written(place, "alone", limit=2, max_new_tokens=60)
    config = read_config(place / "alone")
    assert (config.max_new_tokens, config.max_length) == (60, None)
    assert any((one.prompt_tokens or 0) + (one.completion_tokens or 0) > LIMIT for one in alone)


def test_a_run_is_repeated_with_the_limit_that_it_had(place: Path) -> None:
    written(place, "alone", limit=2, max_new_tokens=60)
    for run, total in (("run", 6), ("alone", 4)):
        out = place / f"{run}-again"
        result = CliRunner().invoke(main, ["eval", "--repeat", str(place / run), "--generate-only", "--out", str(out)])
        assert f"{total} of {total} samples are byte for byte those of" in result.output
        assert (out / SAMPLES).read_bytes() == (place / run / SAMPLES).read_bytes()
        assert read_config(out).max_length == read_config(place / run).max_length


def test_a_run_from_before_there_was_such_a_limit_goes_on_without(place: Path) -> None:
    """Then 512 tokens were the answer's, which `--max-new-tokens` still says."""
    before = written(place, "old", limit=2, max_new_tokens=LIMIT)
    path = place / "old" / RUN
    fields = json.loads(path.read_text())
    assert fields.pop("max_length") is None
    path.write_text(json.dumps(fields))
    lines = (place / "old" / SAMPLES).read_text().splitlines(keepends=True)
    (place / "old" / SAMPLES).write_text(lines[0])
    with pytest.raises(StoreMismatch, match=f"max_length was None, now {LIMIT}"):
        written(place, "old", limit=2)
    assert written(place, "old", limit=2, max_new_tokens=LIMIT) == before
