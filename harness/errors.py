"""What can go wrong that is neither a verdict on a sample nor a bug of ours.

    HarnessError
    ├── UsageError          the user asked for something that does not exist or does not fit (exit 2)
    │   ├── DataMissing     a benchmark file is not on this machine; the message says which file to put where
    │   ├── SamplesError    a samples or task file is malformed; the message names file and line
    │   ├── MissingDependency  an optional package is not installed; the message has the command
    │   └── StoreMismatch   the run folder belongs to another configuration; the message names the field
    ├── ModelUnavailable    the model cannot be loaded or reached (exit 2)
    └── MeasurementInvalid  the machine failed, so there is no score to report (exit 3)

To add one: derive it from the class whose exit code fits, say in one line above who raises it, and raise it with a
message that holds the fix. `cli.py` turns each into one message on standard error, without a traceback.
The sandbox has its own `sandbox.SandboxError`; `cli.py` treats it as MeasurementInvalid.
"""

from __future__ import annotations


class HarnessError(Exception):
    """Base of everything that the harness raises on purpose."""

    exit_code = 2


class UsageError(HarnessError):
    """The request does not fit: unknown task, bad value, contradictory options."""


class DataMissing(UsageError):
    """A benchmark's data file is not on this machine."""


class SamplesError(UsageError):
    """A samples file or task file cannot be used as it is."""


class MissingDependency(UsageError):
    """An optional package is needed and not installed."""


class StoreMismatch(UsageError):
    """The run folder was made with another configuration."""


class ModelUnavailable(HarnessError):
    """The model cannot be loaded or reached."""


class MeasurementInvalid(HarnessError):
    """The machine failed, so that no score can be reported."""

    exit_code = 3
