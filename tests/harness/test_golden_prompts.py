"""Golden prompts: what each protocol asks, byte for byte, as the harness that it is named after does.

`golden/PROTOCOL/BENCHMARK.json` has the prompts of five tasks, and says where its bytes come from.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from harness.benchmarks import load_benchmark
from harness.chat import Chat
from harness.protocols import PROTOCOLS, rules_for

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*/*.json"))
AS_THEY_ARE = {"tinypy-execution", "tinypy-completion"}  # prompts are a program's text: tests/harness/test_tinypy.py


@pytest.mark.data
@pytest.mark.usefixtures("published_data")
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_prompt_is_that_of_the_original(path: Path) -> None:
    golden = json.loads(path.read_text(encoding="utf-8"))
    prompt = rules_for(path.parent.name, path.stem).prompt
    tasks = {task.task_id: task for task in load_benchmark(path.stem).tasks}
    assert golden["source"]
    assert len(golden["prompts"]) == 5
    for task_id, wanted in golden["prompts"].items():
        asked = prompt(tasks[task_id])
        found = json.loads(json.dumps(asdict(asked))) if isinstance(asked, Chat) else asked
        assert found == wanted, task_id


def test_there_is_a_golden_file_for_each_protocol_and_family() -> None:
    wanted = {(name, family) for name, families in PROTOCOLS.items() for family in families}
    assert {(path.parent.name, path.stem) for path in GOLDEN} == {one for one in wanted if one[1] not in AS_THEY_ARE}
