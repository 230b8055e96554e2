"""`canonical`: answers tasks with the benchmark's own solutions, to show that the judge lets right programs pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.errors import UsageError
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.records import Benchmark, StopReason, Task, TextTests


class ReferenceModel:
    """A model that knows the solutions. Its digest is the dataset's. Raises `UsageError` where there are none."""

    def __init__(self, benchmark: Benchmark) -> None:
        self.name = "canonical"
        self.digest = benchmark.digest
        if benchmark.tasks and not any(task.reference for task in benchmark.tasks):
            raise UsageError(
                f"{benchmark.name} has no solutions that are programs, so canonical has nothing to say: name a model, "
                "or judge programs of your own with --samples"
            )
        self._tasks = {task.task_id: task for task in benchmark.tasks}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield each task's solution, in order; `settings` change nothing. Raises `UsageError` for an unknown task."""
        for prompt in prompts:
            if prompt.task_id not in self._tasks:
                raise UsageError(f"{prompt.task_id} is no task of the benchmark whose solutions were asked for")
            yield Completion(text=_completion_of(self._tasks[prompt.task_id]), stop_reason=StopReason.REFERENCE)


def _completion_of(task: Task) -> str:
    """Return the reference as a model would write it: what follows the prompt, or all of it where it stands alone.

    Protocols end the prompt in exactly one newline, so the rest has to begin behind one; they leave the prompt of a
    task whose answer is text as it is.
    """
    if isinstance(task.tests, TextTests):
        return task.reference.removeprefix(task.prompt)
    if not task.reference.startswith(task.prompt):
        return task.reference
    written, newline, rest = task.reference[len(task.prompt.rstrip()) :].partition("\n")
    return rest if newline and not written.strip() else task.reference
