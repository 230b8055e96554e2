"""A model that says what a test has written, and the request to evaluate it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.evaluation import EvalConfig
from harness.models.seam import Completion, GenerationSettings, Prompt
from harness.records import StopReason

BODIES = ("    return x\n", "    return 7\n", "", "    return (")


@dataclass
class Scripted:
    """A model that answers task n with text n % 4; `before` is told of each prompt, and may fail."""

    name: str = "org/scripted"
    digest: str = "s" * 64
    runtime: dict[str, str] = field(default_factory=lambda: {"device": "none"})
    asked: list[tuple[str, int]] = field(default_factory=list)
    before: Callable[[Prompt], None] | None = None
    texts: tuple[str, ...] = BODIES

    def versions(self) -> dict[str, str]:
        return {"scripted": "1"}

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        for prompt in prompts:
            if self.before:
                self.before(prompt)
            self.asked.append((prompt.task_id, prompt.sample_index))
            number = int(prompt.task_id.split("/")[1])
            text = self.texts[number % len(self.texts)]
            reason = StopReason.LENGTH if text.endswith("(") else StopReason.STOP
            yield Completion(text=text, stop_reason=reason, prompt_tokens=3, completion_tokens=4)


def asked_for(tasks: Path, out: Path, **changes: Any) -> EvalConfig:
    config = EvalConfig(tasks=(str(tasks),), out=out, model="org/scripted", sandbox="local", workers=1)
    return replace(config, **changes)
