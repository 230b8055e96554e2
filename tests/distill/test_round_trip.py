"""Translations by a teacher: what comes back as the same function is kept, all else is counted, and nothing is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from distill.code_data import snippets_of
from distill.command import distill
from distill.round_trip import RoundTripConfig, translate, translated, without_docstrings
from distill.task_files import write_tasks
from harness import Completion, GenerationSettings, ModelUnavailable, Prompt, StopReason, Task, UsageError, ladder_train

FENCE = "```"


@pytest.fixture(scope="module")
def cells(require: Callable[[object, str], None]) -> str:
    """The name of a sandbox that works here."""
    from sandbox import examine

    working = [one.name for one in examine() if one.ok and one.name in ("docker", "local")]
    require(working, "a sandbox that works")
    return working[0]


@pytest.fixture
def tasks(tmp_path: Path) -> list[Task]:
    found = list(ladder_train(seed=3, count=5))
    write_tasks(found, tmp_path / "train.jsonl")
    return found


def fenced(program: str, language: str) -> str:
    return f"Here it is:\n{FENCE}{language}\n{program}\n{FENCE}\n"


class Translator:
    """A teacher with stored answers: it writes each program as one long comment of its language, and reads it again.

    The second task has no program in its answer, the third one in Python, the fourth comes back as another function,
    and the fifth not at all.
    """

    name, digest = "translator", "t" * 64

    def __init__(self, tasks: Sequence[Task], fails_after: int = 1_000) -> None:
        self.place = {task.task_id: place for place, task in enumerate(tasks)}
        self.tasks = {task.task_id: task for task in tasks}
        self.asked: list[Prompt] = []
        self.fails_after = fails_after

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        if len(self.asked) + len(prompts) > self.fails_after:
            raise ModelUnavailable("gone")
        for prompt in prompts:
            self.asked.append(prompt)
            text = self.back(prompt) if "### Program in Python\n" in prompt.text[-30:] else self.there(prompt)
            yield Completion(text=text, stop_reason=StopReason.STOP, completion_tokens=1)

    def there(self, prompt: Prompt) -> str:
        program = without_docstrings(self.tasks[prompt.task_id].reference)
        assert program in prompt.text
        foreign = f"// {json.dumps(program)};"
        texts = {1: "I cannot.", 2: fenced(program, "python")}
        return texts.get(self.place[prompt.task_id], fenced(foreign, "javascript"))

    def back(self, prompt: Prompt) -> str:
        """Read a program from the prompt, which shows no other than the translation."""
        task = self.tasks[prompt.task_id]
        found = re.search(r"^// (.*);$", prompt.text, re.MULTILINE)
        assert found is not None
        assert without_docstrings(task.reference) not in prompt.text
        if self.place[task.task_id] == 4:
            return fenced("x = 1", "python")
        wrong = f"def {task.entry_point}(*anything):\n    return 'another'"
        return fenced(wrong if self.place[task.task_id] == 3 else json.loads(found[1]), "python")


@pytest.mark.slow
def test_what_comes_back_the_same_is_kept_and_the_counts_add_up(
    tasks: list[Task], cells: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = Translator(tasks)
    monkeypatch.setattr("harness.backends._load", lambda name, options: teacher)
    out = tmp_path / "out"
    command = ["translate", str(tmp_path / "train.jsonl"), "--to", "JavaScript", "--model", "t", "--sandbox", cells]
    ran = CliRunner().invoke(distill, [*command, "--out", str(out)])
    assert ran.exit_code == 0, ran.output + repr(ran.exception)
    assert (
        "1 of 5 functions in JavaScript; 2 without a translation, 1 that did not come back, 1 that came back"
        in ran.output
    )
    report = json.loads((out / "translations.json").read_bytes())
    fates = ("kept", "no_translation", "no_way_back", "failed")
    assert report["asked"] == sum(report[fate] for fate in fates) == 5

    # The pair is code to learn from, asked for by the whole program in Python.
    (pair,) = snippets_of([str(out / "pairs.jsonl")], documented=True)
    assert (pair.language, pair.package) == ("JavaScript", tasks[0].task_id)
    assert pair.description == without_docstrings(tasks[0].reference)
    assert pair.code.startswith("// ")

    asked = len(teacher.asked)
    assert asked == 5 + 3
    assert CliRunner().invoke(distill, [*command, "--out", str(out)]).exit_code == 0
    assert len(teacher.asked) == asked  # what is there is not asked for again
    other = CliRunner().invoke(distill, [*command, "--seed", "1", "--out", str(out)])
    assert isinstance(other.exception, UsageError)
    assert "holds translations by another plan" in str(other.exception)


def test_a_teacher_that_fails_loses_nothing_that_it_wrote(
    tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RoundTripConfig(source=str(tmp_path / "train.jsonl"), language="Go", model="t")
    out = tmp_path / "out"
    teacher = Translator(tasks, fails_after=5)
    monkeypatch.setattr("harness.backends._load", lambda name, options: teacher)
    with pytest.raises(ModelUnavailable):
        translate(config, out)
    assert len((out / "there.jsonl").read_text().splitlines()) == 5
    assert not (out / "pairs.jsonl").exists()


def test_tests_and_what_is_no_function_are_not_translated(tmp_path: Path) -> None:
    for source, said in (("words", "has no functions with tests"), ("humaneval", "is no source of questions")):
        with pytest.raises(UsageError, match=said):
            translate(RoundTripConfig(source=source, language="Go", model="t"), tmp_path / source)
    write_tasks(ladder_train(seed=3, count=2), tmp_path / "train.jsonl")
    content = (tmp_path / "train.jsonl").read_text().replace('"split": "train"', '"split": "test"')
    (tmp_path / "tests.jsonl").write_text(content)
    config = RoundTripConfig(source=str(tmp_path / "tests.jsonl"), language="Go", model="t")
    with pytest.raises(UsageError, match="is not marked as a task to train on"):
        translate(config, tmp_path / "out")
    with pytest.raises(msgspec.ValidationError, match="another one than Python"):
        msgspec.convert({"source": "ladder", "language": " python", "model": "t"}, RoundTripConfig)


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (fenced("let x = 1;", "javascript"), "let x = 1;"),
        ("no program", ""),
        (fenced("def f():\n    return 1", "go"), ""),
        (fenced("a();", "c").replace("\n", "\r\n"), ""),
        (f"{FENCE}js\nlet y = 2;", "let y = 2;"),
    ],
)
def test_a_translation_is_the_first_fenced_program_unless_it_is_python(text: str, program: str) -> None:
    assert translated(text) == program


def test_what_gives_a_test_away_is_not_translated(tasks: list[Task], tmp_path: Path) -> None:
    content = (tmp_path / "train.jsonl").read_text().replace('"split": "train"', '"split": "test"')
    (tmp_path / "tests.jsonl").write_text(content.splitlines(keepends=True)[0])
    config = RoundTripConfig(
        source=str(tmp_path / "train.jsonl"), language="Go", model="t", apart_from=(str(tmp_path / "tests.jsonl"),)
    )
    from distill.round_trip import _tasks

    kept, leaking = _tasks(config)
    assert leaking >= 1
    assert tasks[0].task_id not in {task.task_id for task in kept}
    assert len(kept) + leaking == len(tasks)
