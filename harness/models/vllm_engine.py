"""Models that vLLM runs on this machine, in an engine that the harness starts and ends.

Covers what goes into the engine and comes out of it; `vllm_start` starts it. Prompts are read, texts cut and tokens
counted by what `local` uses (`requests`, `decoding`), so both backends mean the same by a prompt, a stop string and a
completion. vLLM is imported inside functions only.

What is repeatable: a sample is drawn with its own seed, whatever else is asked. vLLM batches requests as they come, so
that rounding differs from run to run and a near-tie between two tokens can fall either way; its own
`VLLM_BATCH_INVARIANT=1` prevents that where it is supported.
"""

from __future__ import annotations

import os
import time
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from harness.errors import ModelUnavailable, UsageError
from harness.model_options import BATCH_SIZES, VLLM, ModelOptions
from harness.models.checkpoint import (
    digest_of,
    find_checkpoint,
    first_line,
    parameters_of,
    tokenizer_digest_of,
)
from harness.models.endings import RowWatch, finish
from harness.models.loading import load_words
from harness.models.requests import Reader, Request, end_tokens, reader_of
from harness.models.seam import Asked, Completion, GenerationSettings, Prompt, see_that_they_make_sense
from harness.models.vllm_start import Started, end, failures, see_that_it_is_there, start
from harness.reasoning import ReasoningRule
from harness.records import StopReason

_AHEAD = 4  # completions that may wait for their turn, per request that may be under way
_ENDS = frozenset({"stop", "length"})  # of a request that came to its end; with others the engine gave it up
_NOT_PROMISED = "not promised: seeds are per sample, but batches differ from run to run, and with them the rounding"
_INVARIANT = "VLLM_BATCH_INVARIANT=1: batches change nothing, says vLLM"


@dataclass(slots=True, kw_only=True)
class _Flight:
    """A request in the engine: what it has written until now, and whether it is over."""

    name: str
    request: Request
    watch: RowWatch
    over: bool = False


class VllmModel:
    """A causal language model in an engine of vLLM. Make one with `VllmModel.load`.

    The engine, and what memory it holds, lives as long as this object, or until `close`.
    """

    def __init__(
        self, *, name: str, digest: str, started: Started, reader: Reader, ends: frozenset[int], runtime: dict[str, str]
    ) -> None:
        self.name = name
        self.digest = digest
        self.runtime = runtime
        self.tokenizer_digest = reader.digest
        self.template_digest = reader.template_digest
        # It takes so many at a time, and fewer would leave it idle; `vllm.LLM` hands it all that it has.
        self.at_once = max(BATCH_SIZES[VLLM], started.engine.vllm_config.scheduler_config.max_num_seqs)
        self._engine = started.engine
        self._reader = reader
        self._ends = ends
        self._names = (str(number) for number in count())
        self._flights: dict[str, _Flight] = {}  # those that are not over, by name
        self._end = weakref.finalize(self, end, started.engine.engine_core, started.processes)

    @classmethod
    def load(cls, name: str, options: ModelOptions) -> VllmModel:
        """Start an engine with a checkpoint: a folder, `demo:...`, `org/name` or `org/name@revision`.

        Raises `MissingDependency` without vLLM, `UsageError` for a name or options that cannot work,
        `ModelUnavailable` when the checkpoint cannot be fetched, loaded or run.
        """
        see_that_it_is_there(options)
        checkpoint = find_checkpoint(name, options.revision)
        words = load_words(str(checkpoint.folder), name, trust=options.trust_remote_code)
        started = start(checkpoint.folder, name, options, getattr(words.text, "dtype", None))
        context = started.engine.model_config.max_model_len
        return cls(
            name=name,
            digest=digest_of(checkpoint.folder),
            started=started,
            reader=reader_of(words, name, context=context, digest=tokenizer_digest_of(checkpoint.folder)),
            ends=end_tokens(words.generation, words.text, words.tokenizer),
            runtime=_runtime(started.engine, options, checkpoint.folder),
        )

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that a sample depends on."""
        import vllm

        return {"vllm": vllm.__version__} | {one: version(one) for one in ("torch", "transformers", "tokenizers")}

    def close(self) -> None:
        """End the engine's processes. The model writes nothing more."""
        self._end()

    def generate(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> Iterator[Completion]:
        """Yield one completion per prompt, in order; `batch_size` requests are in the engine at once.

        A prompt that leaves less room than `most_tokens` gets what room there is, by `max_length` also none. A deadline
        is kept to a step of the engine. Raises `UsageError` before any work when a prompt leaves none in the context,
        or for settings that vLLM cannot decode by, `ModelUnavailable` when the engine fails.
        """
        see_that_they_make_sense(settings)
        requests = self._reader.requests(prompts, settings)
        for request in [one for one in requests if one.limit][:1]:
            self._params(request)
        return self._in_order(requests, settings)

    def asked(self, prompts: Sequence[Prompt], settings: GenerationSettings) -> list[Asked]:
        """Return what the engine is asked, in order. Raises `UsageError` for a prompt that `generate` would refuse."""
        return self._reader.asked(prompts, settings)

    def reasoning(self, prompt: Prompt) -> ReasoningRule:
        """Return the rule that fits its completions of prompts like this; see `Reader.reasoning`."""
        return self._reader.reasoning(prompt)

    def _in_order(self, requests: list[Request], settings: GenerationSettings) -> Iterator[Completion]:
        waiting = deque(requests)
        mine: dict[int, _Flight] = {}
        try:
            for place in range(len(requests)):
                while not (late := _is_late(settings)) and not (place in mine and mine[place].over):
                    reach = place + settings.batch_size * _AHEAD
                    while waiting and waiting[0].place < reach and len(self._flights) < settings.batch_size:
                        request = waiting.popleft()
                        mine[request.place] = self._begin(request)
                    if self._flights:  # an engine with nothing to do would be waited for in vain
                        self._step()
                yield self._completion(mine.pop(place, None), late)
        except ModelUnavailable:
            over = {place: flight for place, flight in mine.items() if flight.over}
            for place in range(min(mine, default=0), max(over, default=-1) + 1):
                yield self._completion(over.get(place), late=False)
            raise
        finally:
            self._give_up([flight for flight in mine.values() if not flight.over])

    def _begin(self, request: Request) -> _Flight:
        watch = RowWatch(self._reader.tokenizer, request)
        flight = _Flight(name=next(self._names), request=request, watch=watch, over=not request.limit)
        if flight.over:
            return flight
        prompt = {"type": "token", "prompt_token_ids": request.tokens}
        with self._failures_said():
            self._engine.add_request(flight.name, prompt, self._params(request))
        self._flights[flight.name] = flight
        return flight

    def _params(self, request: Request) -> Any:
        """Return what vLLM is told. Stop strings are none of it: `RowWatch` ends requests, `finish` cuts texts."""
        from vllm import SamplingParams
        from vllm.exceptions import VLLMValidationError
        from vllm.sampling_params import RequestOutputKind

        settings = request.settings
        try:
            params = SamplingParams(
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=request.seed if settings.temperature > 0 else None,
                max_tokens=request.limit,
                stop_token_ids=sorted(self._ends),
                detokenize=False,
                output_kind=RequestOutputKind.DELTA,
            )
        except VLLMValidationError as error:
            raise UsageError(f"vLLM cannot sample like this: {first_line(error)}") from error
        if params.temperature != settings.temperature:  # it raises low ones, and only logs it
            raise UsageError(
                f"vLLM samples at a temperature of {params.temperature:g} or more, not at {settings.temperature:g}: "
                "give 0 for greedy decoding, or a higher one"
            )
        return params

    def _step(self) -> None:
        """Take what the engine has written since the last step."""
        with self._failures_said():
            outputs = self._engine.step()
        stopped = []
        for output in outputs:
            flight = self._flights.get(output.request_id)
            if flight is None:
                continue
            (written,) = output.outputs
            is_over = flight.watch.add(written.token_ids)
            if output.finished:
                if written.finish_reason not in _ENDS:
                    raise ModelUnavailable(f"vLLM gave a request to {self.name} up: {written.finish_reason}")
                flight.over = True
                del self._flights[flight.name]
            elif is_over:
                stopped.append(flight)
        self._give_up(stopped)

    def _give_up(self, flights: Sequence[_Flight]) -> None:
        """Have the engine write no more for these requests."""
        for flight in flights:
            flight.over = True
            self._flights.pop(flight.name, None)
        if flights and self._end.alive:
            with suppress(*failures()):  # an engine that has failed writes no more either
                self._engine.abort_request([flight.name for flight in flights])

    def _completion(self, flight: _Flight | None, late: bool) -> Completion:
        """Return what a request came to; what had no end of its own at the deadline is cut by it."""
        if flight is None:
            return Completion(text="", stop_reason=StopReason.TIME)
        if late and not flight.over:
            self._give_up([flight])
        return finish(self._reader.tokenizer, flight.request, flight.watch.tokens, self._ends)

    @contextmanager
    def _failures_said(self) -> Iterator[None]:
        """Turn what a failing engine raises into `ModelUnavailable`."""
        if not self._end.alive:
            raise ModelUnavailable(f"the engine of {self.name} has been ended")
        try:
            yield
        except failures() as error:
            raise ModelUnavailable(f"vLLM failed while generating with {self.name}: {first_line(error)}") from error


def _is_late(settings: GenerationSettings) -> bool:
    return settings.deadline is not None and time.monotonic() >= settings.deadline


def _runtime(engine: Any, options: ModelOptions, folder: Path) -> dict[str, str]:
    """Return what samples depend on beside the weights, as `run.json` has it."""
    from vllm.platforms import current_platform

    config = engine.model_config
    parameters = parameters_of(folder)
    invariant = os.environ.get("VLLM_BATCH_INVARIANT") == "1"
    return {
        "dtype": str(config.dtype).removeprefix("torch."),
        "device": current_platform.device_type,
        "tensor_parallel_size": str(options.tensor_parallel_size),
        "max_model_len": str(config.max_model_len),
        "enable_prefix_caching": str(options.enable_prefix_caching).lower(),
        "enforce_eager": str(options.enforce_eager).lower(),
        "reproducible": _INVARIANT if invariant else _NOT_PROMISED,
        **({} if config.quantization is None else {"quantization": str(config.quantization)}),
        **({} if parameters is None else {"parameters": str(parameters)}),
    }
