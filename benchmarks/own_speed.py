"""What does the harness add to the time that an engine takes? The same samples by our backend and by a bare loop.

`python -m benchmarks.own_speed --backend hf`: HumanEval's prompts, ten samples each at temperature 0.8 with a seed of
their own, at most 64 tokens, of a tiny checkpoint with random weights (tests/made_checkpoints.py): an engine does as
little as it ever will, so that what we add weighs most. Some tasks at a time are done by one and the other in turn;
loading is not counted. CPU seconds are those of this process and its children (an engine of vLLM is one). Bare loops:

- hf: transformers' `generate` on the same batches (four of eight at a time, sorted by length), sampling with a seed per
  batch, its own `stop_strings`; then `batch_decode` without special tokens, and a cut at the earliest stop string.
- vllm: `LLM.generate` with a `SamplingParams` for each prompt: its seed, its `stop`; texts come from vLLM.

`eval` is `harness eval --generate-only` without its start: prompts, engine, programs, and a run folder.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.measuring import family_cpu
from harness.benchmarks import load_benchmark
from harness.evaluation import Asked, EvalConfig, opened
from harness.model_options import HF, VLLM, ModelOptions
from harness.models.seam import Closable, GenerationSettings, Model, Prompt
from harness.protocols import rules_for
from harness.records import RunConfig
from harness.report import Tally
from harness.resolving import resolve
from harness.sources import Decoding, open_model, sample_seed
from harness.stages import write_samples
from harness.store import RunFolder

TOKENS, TEMPERATURE, TOP_P, CONTEXT = 64, 0.8, 0.95, 2048
MET = (" ", "a", "e", "r")  # nearly all that random weights write has one of them soon
TASKS_AT_A_TIME = 16
ROOT = Path(__file__).parents[1]
BATCH, BATCHES_SORTED = 8, 4  # as the backend hf does

Loop = Callable[[Sequence[Prompt], GenerationSettings], int]


@dataclass(slots=True)
class Took:
    """What one way of writing took, piece by piece: CPU seconds, seconds on the wall, characters written."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    characters: int = 0

    @contextmanager
    def piece(self) -> Iterator[None]:
        """Count what is done in this context."""
        cpu, wall = family_cpu(os.getpid()), time.monotonic()
        yield
        self.wall.append(time.monotonic() - wall)
        self.cpu.append(family_cpu(os.getpid()) - cpu)


def pieces(samples: int) -> list[list[Prompt]]:
    """Return the prompts, those of some tasks in each piece."""
    tasks = load_benchmark("humaneval").tasks
    text = rules_for("default", "humaneval").prompt

    def prompts(start: int) -> list[Prompt]:
        return [
            Prompt(task_id=one.task_id, sample_index=index, text=text(one), seed=sample_seed(0, one.task_id, index))
            for one in tasks[start : start + TASKS_AT_A_TIME]
            for index in range(samples)
        ]

    return [prompts(start) for start in range(0, len(tasks), TASKS_AT_A_TIME)]


def cut(text: str, stop: Sequence[str]) -> str:
    """Return the text before the earliest stop string."""
    return text[: min((place for one in stop if (place := text.find(one)) >= 0), default=len(text))]


def bare_hf(folder: Path) -> Loop:
    """Return a loop around transformers' `generate`, as one writes it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def batch(prompts: Sequence[Prompt], settings: GenerationSettings) -> int:
        read = tokenizer([str(one.text) for one in prompts], padding=True, return_tensors="pt")
        torch.manual_seed(prompts[0].seed)
        rows = model.generate(
            **read,
            max_new_tokens=settings.max_new_tokens,
            do_sample=True,
            temperature=settings.temperature,
            top_p=settings.top_p,
            top_k=0,
            pad_token_id=tokenizer.pad_token_id,
            **({"stop_strings": list(settings.stop), "tokenizer": tokenizer} if settings.stop else {}),
        )
        texts = tokenizer.batch_decode(rows[:, read["input_ids"].shape[1] :], skip_special_tokens=True)
        return sum(len(cut(text, settings.stop)) for text in texts)

    def loop(prompts: Sequence[Prompt], settings: GenerationSettings) -> int:
        written = 0
        for start in range(0, len(prompts), BATCH * BATCHES_SORTED):
            some = sorted(prompts[start : start + BATCH * BATCHES_SORTED], key=lambda one: -len(str(one.text)))
            written += sum(batch(some[first : first + BATCH], settings) for first in range(0, len(some), BATCH))
        return written

    return loop


def bare_vllm(folder: Path) -> Loop:
    """Return a loop around vLLM's `LLM.generate`, as one writes it."""
    from vllm import LLM, SamplingParams

    # Prompts in one piece, or seeds and CPUs do not go together in vLLM 0.32.
    engine = LLM(
        model=str(folder), dtype="float32", enforce_eager=True, enable_chunked_prefill=False, disable_log_stats=True
    )

    def loop(prompts: Sequence[Prompt], settings: GenerationSettings) -> int:
        params = [
            SamplingParams(
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_new_tokens,
                seed=one.seed,
                stop=list(settings.stop),
            )
            for one in prompts
        ]
        written = engine.generate([str(one.text) for one in prompts], params, use_tqdm=False)
        return sum(len(one.outputs[0].text) for one in written)

    return loop


def ours(folder: Path, backend: str) -> tuple[Model, Loop]:
    """Return our model, and the loop around it."""
    model = open_model(str(folder), options_for(backend))
    return model, lambda prompts, settings: sum(len(one.text) for one in model.generate(prompts, settings))


def measured(loops: dict[str, Loop], work: list[list[Prompt]], settings: GenerationSettings) -> dict[str, Took]:
    """Have every loop write every piece, each of them first in turn."""
    took = {name: Took() for name in loops}
    for loop in loops.values():
        loop(work[0][:BATCH], settings)  # what is done once is no one's speed
    for place, piece in enumerate(work):
        for name in list(loops)[:: 1 if place % 2 else -1]:
            with took[name].piece():
                took[name].characters += loops[name](piece, settings)
    return took


def evaluated(folder: Path, backend: str, samples: int) -> Took:
    """Write all samples as `harness eval --generate-only` does, its start not counted."""
    with tempfile.TemporaryDirectory() as out:
        config = EvalConfig(
            tasks=("humaneval",),
            out=Path(out) / "run",
            model=str(folder),
            options=options_for(backend),
            decoding=Decoding(n_samples=samples, temperature=TEMPERATURE, top_p=TOP_P, max_new_tokens=TOKENS),
        )
        took = Took()
        with opened(config) as (asked,), took.piece(), RunFolder(asked.out, _run(config, asked)) as store:
            took.characters = sum(len(one.completion) for one in write_samples(store, asked.source, Tally()))
    return took


def _run(config: EvalConfig, asked: Asked) -> RunConfig:
    return resolve(config, asked.benchmark, asked.source, asked.plan)


def options_for(backend: str) -> ModelOptions:
    """Return how our model runs: as the bare one does."""
    return ModelOptions(backend=VLLM, enforce_eager=True) if backend == VLLM else ModelOptions(device="cpu")


def shown(name: str, took: Took, bare: Took) -> str:
    """Return a line of the table."""
    ratios = [one / other for one, other in zip(took.cpu, bare.cpu, strict=False)]
    spread = f"{median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})" if len(ratios) > 1 else "-"
    sums = [f"{sum(took.cpu):.1f}", f"{sum(took.wall):.1f}", f"{sum(took.cpu) / sum(bare.cpu):.3f}"]
    return f"| {name} | {' | '.join(sums)} | {spread} | {took.characters:,} |"


def main() -> None:
    """Measure a backend here, and vLLM in another environment where one is named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backend", choices=(HF, VLLM), default=HF)
    parser.add_argument("--samples", type=int, default=10, help="of each task")
    parser.add_argument("--vllm-python", type=Path, help="the python of an environment with vLLM: measure it as well")
    options = parser.parse_args()
    print(f"### {options.backend}\n")
    _measure(options.backend, options.samples)
    if options.vllm_python and options.backend == HF:
        more = ["--backend", VLLM, "--samples", str(options.samples)]
        print(flush=True)
        subprocess.run([options.vllm_python, "-m", "benchmarks.own_speed", *more], check=True, cwd=ROOT)


def _measure(backend: str, samples: int) -> None:
    sys.path.append(str(ROOT / "tests"))
    from made_checkpoints import make_dreamer, make_singer

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "tiny"
        make = make_dreamer if backend == HF else make_singer  # which has heads that vLLM has kernels for
        make(folder, context=CONTEXT)
        work = pieces(samples)
        bare = bare_hf(folder) if backend == HF else bare_vllm(folder)
        model, own = ours(folder, backend)
        print("| | CPU s | wall s | CPU of bare | piece by piece | characters |\n|---|---|---|---|---|---|")
        protocol = rules_for("default", "humaneval").stop
        for what, stop in (("some that are met", MET), ("no stop strings", ()), ("the protocol's", protocol)):
            settings = GenerationSettings(
                temperature=TEMPERATURE,
                top_p=TOP_P,
                max_new_tokens=TOKENS,
                stop=stop,
                batch_size=BATCH if backend == HF else 256,
            )
            took = measured({"bare": bare, "ours": own}, work, settings)
            for name, one in took.items():
                print(shown(f"{name}, {what}", one, took["bare"]), flush=True)
        if isinstance(model, Closable):
            model.close()
        print(shown("eval, the protocol's", evaluated(folder, backend, samples), took["bare"]))


if __name__ == "__main__":
    main()
