"""Where questions come from, and that they are the same tasks once they are in a round's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from distill.lessons import LeakageError
from distill.question_sources import count_of, listed
from distill.questions import Draw, QuestionsBy, QuestionsConfig, choose, see_that_none_is_a_test
from distill.task_files import write_tasks
from harness import Benchmark, gsm8k_train, load_benchmark, mbpp_train, rules_for


@pytest.fixture(autouse=True)
def _data(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))


@pytest.mark.data
@pytest.mark.parametrize(
    ("load", "protocols"),
    [(gsm8k_train, ("default", "ekt-3shot", "ekt-0shot")), (mbpp_train, ("default", "austin-3shot"))],
)
def test_lists_come_back_from_a_rounds_file(
    load: Callable[[], Benchmark], protocols: tuple[str, ...], tmp_path: Path
) -> None:
    tasks = load().tasks[:200]
    write_tasks(tasks, tmp_path / "q.jsonl", {tasks[0].task_id: "a kind"})
    read = load_benchmark(str(tmp_path / "q.jsonl"))
    assert read.tasks == tasks
    assert listed(str(tmp_path / "q.jsonl"))[0].family == "a kind"
    for name in protocols:
        published = "gsm8k" if load is gsm8k_train else "mbpp"
        assert rules_for(name, read).prompt(read.tasks[1]) == rules_for(name, published).prompt(tasks[1])


@pytest.mark.data
def test_all_questions_of_a_file_are_asked_in_its_order(tmp_path: Path) -> None:
    tests, train = load_benchmark("gsm8k-dev").tasks, gsm8k_train().tasks[:40]
    given_away = replace(train[7], prompt=tests[0].prompt)
    path = str(tmp_path / "q.jsonl")
    write_tasks([*train[:7], given_away, *train[8:]], Path(path))
    chosen = choose(QuestionsConfig(source=path, count="all", feedback=QuestionsBy.NONE), [], ["easy"], tests, seed=1)
    assert [task.task_id for task in chosen.tasks] == [one.task_id for one in train if one is not train[7]]
    assert {leak.task_id for leak in chosen.leaks} == {train[7].task_id}
    assert count_of(path) == 40


@pytest.mark.data
def test_a_dev_split_is_nothing_to_train_on() -> None:
    with pytest.raises(LeakageError, match="not marked as a task to train on"):
        see_that_none_is_a_test(load_benchmark("gsm8k-dev").tasks, load_benchmark("gsm8k").tasks, "x")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "gsm9k"}, "one of ladder, .*gsm8k, mbpp, or a task file"),
        ({"source": "gsm8k", "count": "all"}, "give questions.feedback: none"),
        ({"source": "ladder", "count": "all", "feedback": "none"}, "the whole of a list or file"),
        ({"source": "gsm8k", "draw": Draw.UNSOLVED.value}, "give questions.feedback: none"),
        ({"count": 0}, "at least 1"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(values, QuestionsConfig)
