"""What the stages of a round share: its folder and student, and evaluating as a run folder below it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from distill.asking import Request, ask, missing, read_asked
from distill.loop import Journal, LoopConfig, Machine
from harness import (
    Decoding,
    EvalConfig,
    GenerationSettings,
    MeasurementInvalid,
    Model,
    ModelOptions,
    Outcome,
    StoreMismatch,
    Task,
    evaluate,
    load_benchmark,
    open_model,
    prompts_at_once,
)

PROBES, QUESTIONS, ANSWERS = "probes.jsonl", "questions.jsonl", "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRuns:
    """A round's folder, its student (what `--model` takes), and the seed of all that is drawn and sampled in it."""

    config: LoopConfig
    folder: Path
    student: str
    seed: int
    machine: Machine

    def evaluated(
        self,
        tasks: str,
        name: str,
        model: str | None = None,
        decoding: Decoding | None = None,
        stored: Path | None = None,
        options: ModelOptions | None = None,
        shots: Path | None = None,
    ) -> dict[str, int]:
        """Evaluate a model, or stored answers in its place, as the run folder of that name, and return the counts.

        `options` say what runs the model (None: this machine), `shots` which solved questions it is shown (None: those
        of its protocol).

        Raises MeasurementInvalid when the machine failed on some sample: nothing may follow from such a run, and the
        same call later judges what is missing.
        """
        config = EvalConfig(
            tasks=(tasks,),
            out=self.folder / name,
            model=model,
            options=options or ModelOptions(),
            samples=stored,
            partial=stored is not None,
            decoding=decoding or self._decoding(),
            shots=shots,
            sandbox=self.machine.sandbox,
            workers=self.machine.workers,
            audit=False,  # it is for readers of reports
            weak_below=self.config.weak_below if tasks == self.config.tasks else None,
        )
        try:
            (report,) = evaluate(config, self.machine.progress())
        except StoreMismatch:
            if Journal(self.folder).done():
                raise
            # Before the first stage is done the configuration may be corrected: half a run of another one is of no use.
            (report,) = evaluate(replace(config, resume=False), self.machine.progress())
        if unjudged := report.outcomes[Outcome.NOT_JUDGED]:
            raise MeasurementInvalid(
                f"{unjudged} of {report.samples} samples in {self.folder / name} could not be judged because the "
                "machine failed. Run the same command again to judge them and go on"
            )
        return {"samples": report.samples, "tokens": report.tokens.completion}

    def tests(self) -> list[Task]:
        """Return the tasks of which nothing may be learnt: those that are measured, and those to be kept apart from."""
        return [task for name in self.test_sets for task in load_benchmark(name).tasks]

    @property
    def test_sets(self) -> tuple[str, ...]:
        """The benchmarks of which nothing may be learnt."""
        return (self.config.tasks, *self.config.questions.apart_from)

    def earlier(self, name: str) -> list[Path]:
        """Return the files of that name in the folders of the rounds before."""
        files = self.folder.parent.glob(f"*/{name}")
        return sorted(path for path in files if path.parent.name.isdigit() and path.parent != self.folder)

    def sampling(self, n_samples: int, temperature: float) -> Decoding:
        """Return how to sample so many answers, by the round's seed, of one who is asked as the student is."""
        return replace(self._decoding(), n_samples=n_samples, temperature=temperature, seed=self.seed)

    def _decoding(self) -> Decoding:
        config = self.config
        return Decoding(protocol=config.protocol, batch_size=config.batch_size, max_new_tokens=config.max_new_tokens)

    def asked(self, requests: Sequence[Request], temperature: float, path: Path) -> dict[str, int]:
        """Have the teacher answer requests into a file, by the round's seed, and return what was counted.

        Answers that are there are not asked for again: without a missing one, the teacher need not be there.
        """
        path.touch()
        if missing(requests, path):
            teacher = open_model(self.config.teacher.name, self.config.teacher.options)  # before its time begins
            ask(teacher, requests, self._asking(teacher, temperature), path, self.seed)
        written = list(read_asked(path))
        counts = {"teacher_calls": len(written), "tokens": sum(one.tokens for one in written)}
        return counts | self.unanswered(len(requests), len(written))

    def _asking(self, model: Model, temperature: float) -> GenerationSettings:
        """Return how a teacher, opened as this model, is asked in words from now on."""
        teacher, limit = self.config.teacher, self.config.teacher.time_limit_seconds
        settings = GenerationSettings(
            temperature=temperature,
            batch_size=teacher.at_once(self.config.batch_size) or prompts_at_once(model, teacher.backend),
            deadline=None if limit is None else time.monotonic() + limit,
        )
        return replace(settings, max_new_tokens=self.config.max_new_tokens or settings.max_new_tokens)

    def unanswered(self, asked: int, answered: int) -> dict[str, int]:
        """Return the count of what a teacher's time limit left over, for its stage's record; none without a limit."""
        return {} if self.config.teacher.time_limit_seconds is None else {"unanswered": asked - answered}
