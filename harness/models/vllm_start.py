"""Starting vLLM's engine for a checkpoint: our options as its arguments, its noise off our output, its processes' end.

vLLM is imported inside functions only. Its engine has processes of its own, which hold the weights: they are ended by
`end`, with this process at the latest.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import select
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from harness.errors import MissingDependency, ModelUnavailable, UsageError
from harness.model_options import NO_VLLM, ModelOptions, see_that_it_is_installed
from harness.models.checkpoint import first_line
from harness.models.endings import STEPS_BETWEEN_LOOKS
from harness.models.loading import DTYPES
from harness.models.vllm_worker import EndsWithUs

_LOG = logging.getLogger(__name__)
_GREETING = "greeting"
_END_SECONDS = 15.0  # then its processes are killed


def see_that_it_is_there(options: ModelOptions) -> None:
    """Import vLLM, quietly. Raises `MissingDependency` with what to install."""
    see_that_it_is_installed(options)
    # Read when vLLM is imported, and by its processes. It logs to standard output otherwise.
    os.environ["VLLM_LOGGING_STREAM"] = "ext://sys.stderr"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "INFO" if _LOG.isEnabledFor(logging.INFO) else "ERROR")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # which would be sent to its makers
    os.environ.setdefault("VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS", "1")  # they have nothing to finish
    try:
        import_module("vllm")
    except ImportError as error:
        raise MissingDependency(f"{NO_VLLM} ({error})") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A `vllm.LLMEngine`, and descriptors of its processes (pidfd)."""

    engine: Any
    processes: tuple[int, ...]


def start(folder: Path, name: str, options: ModelOptions, own_dtype: Any) -> Started:
    """Return an engine that runs the checkpoint in `folder`; `own_dtype` is that of its configuration.

    It is given tokens and gives tokens: text is read and written by us. Raises `UsageError` for options that vLLM
    refuses, `ModelUnavailable` where it cannot load the model, or where the model computes no numbers.
    """
    from vllm import LLMEngine
    from vllm.usage.usage_lib import UsageContext

    with _stdout_is_stderr():
        try:
            engine = LLMEngine.from_engine_args(
                _arguments(folder, options, own_dtype),
                usage_context=UsageContext.LLM_CLASS,  # vLLM sizes its batches by it
                enable_multiprocessing=True,
            )
        except (ValueError, AssertionError) as error:  # pydantic's ValidationError is a ValueError
            raise UsageError(f"vLLM does not run {name} like this: {_said(error)}") from error
        except (RuntimeError, OSError, MemoryError, KeyError, TypeError, ImportError, AttributeError) as error:
            raise ModelUnavailable(
                f"vLLM could not start with {name}: {_said(error)}. What its processes wrote stands above"
            ) from error
    processes: list[int] = []
    try:
        for ids in engine.collective_rpc(EndsWithUs.end_with.__name__, args=(os.getpid(),)):
            processes += _descriptors(ids)
        _see_that_it_computes(engine, name)
    except BaseException:
        end(engine.engine_core, processes)
        raise
    return Started(engine=engine, processes=tuple(processes))


def end(engine_core: Any, processes: Sequence[int]) -> None:
    """End an engine (`engine.engine_core`) and return when its processes have ended: their memory is free then."""
    engine_core.shutdown(timeout=_END_SECONDS)
    for process in processes:
        if not _has_ended(process):
            signal.pidfd_send_signal(process, signal.SIGKILL)
            _has_ended(process)
        os.close(process)
    multiprocessing.active_children()  # which takes note of those that have ended; zombies would stay else


def _has_ended(process: int) -> bool:
    """Wait for the end of a process, and say whether it came in time."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(_END_SECONDS * 1000))


def _descriptors(ids: Sequence[int]) -> Iterator[int]:
    for one in ids:
        with suppress(OSError):  # it has ended, or the kernel is older than these
            yield os.pidfd_open(one)


def failures() -> tuple[type[Exception], ...]:
    """Return what an engine raises when it fails at its work."""
    from vllm.exceptions import VLLMError

    return (VLLMError, RuntimeError, OSError)


def _arguments(folder: Path, options: ModelOptions, own_dtype: Any) -> Any:
    from vllm import EngineArgs
    from vllm.platforms import current_platform

    given = {
        # An engine on a CPU ends with an error when it parts the prompt of a request with a seed (vLLM 0.32).
        "enable_chunked_prefill": False if current_platform.is_cpu() else None,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "max_model_len": options.max_model_len,
        "quantization": options.quantization,
    }
    return EngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        trust_remote_code=options.trust_remote_code,
        dtype=_dtype(options.dtype, own_dtype),
        tensor_parallel_size=options.tensor_parallel_size,
        enable_prefix_caching=options.enable_prefix_caching,
        enforce_eager=options.enforce_eager,
        generation_config="vllm",  # else a checkpoint's own sampling defaults would creep into every call
        stream_interval=STEPS_BETWEEN_LOOKS,
        worker_extension_cls=f"{EndsWithUs.__module__}.{EndsWithUs.__qualname__}",
        disable_log_stats=True,
        use_tqdm_on_load=sys.stderr.isatty(),
        **{key: value for key, value in given.items() if value is not None},
    )


def _dtype(dtype: str, own: Any) -> str:
    """Return the dtype to load in. Auto is what it is for hf; vLLM's own auto turns float32 into something shorter."""
    from vllm.platforms import current_platform

    if dtype not in DTYPES:
        raise UsageError(f"no dtype {dtype!r}: use one of {', '.join(DTYPES)}")
    if dtype != "auto":
        return dtype
    if current_platform.is_cpu():
        return "float32"
    return str(own).removeprefix("torch.") if own is not None else "auto"


def _see_that_it_computes(engine: Any, name: str) -> None:
    """Have one token written, and raise `ModelUnavailable` if its probability is no number."""
    from vllm import SamplingParams

    params = SamplingParams(temperature=0, max_tokens=1, logprobs=1, detokenize=False)
    try:
        engine.add_request(_GREETING, {"type": "token", "prompt_token_ids": [0]}, params)
        said: list[Any] = []
        while not said:
            said = engine.step()
    except failures() as error:
        raise ModelUnavailable(f"vLLM failed with {name}: {_said(error)}") from error
    if not math.isfinite(said[0].outputs[0].cumulative_logprob):
        raise ModelUnavailable(f"{name} computes NaN: its weights are broken, or they need another --dtype")


def _said(error: BaseException) -> str:
    """Return what an error says in one line; pydantic's first line only counts errors."""
    listed = getattr(error, "errors", None)
    return "; ".join(first_line(one["msg"]) for one in listed()) if callable(listed) else first_line(error)


@contextmanager
def _stdout_is_stderr() -> Iterator[None]:
    """Have whatever is written to standard output go to standard error: also by code in C, and for good by children."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
