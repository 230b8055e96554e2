"""The command line: one function per command, and the commands that other packages register.

Data goes to standard output, everything else to standard error. Each command builds a configuration, calls one
function and prints. Exit codes: 0 done, 1 a gate failed, 2 wrong usage, 3 the measurement is not valid, 4 a gate
cannot tell (`--strict`), 130 interrupted (Ctrl-C or SIGTERM).
"""

from __future__ import annotations

import errno
import logging
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from harness.audit_commands import COMMANDS as AUDIT_COMMANDS
from harness.gate_commands import COMMANDS
from harness.interrupts import EXIT_INTERRUPTED, Interrupts
from harness.options import backend_options, encoder_options, price_option, sandbox_option, workers_option
from harness.reasoning import AUTO, RULES
from harness.selftest_command import selftest_command
from harness.tiers_command import tiers_command

EXIT_USAGE, EXIT_INVALID = 2, 3
# Errors of the operating system that no request and no code of ours can be to blame for.
_MACHINE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE}
)
_interrupts = Interrupts()
GROUP = "harness.commands"  # entry points through which other packages add commands


class _Commands(click.Group):
    """The built-in commands, and those of other packages, which are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *(point.name for point in entry_points(group=GROUP))})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        for point in entry_points(group=GROUP, name=cmd_name):
            command = point.load()
            if isinstance(command, click.Command):
                return command
        return None


def _dashes(name: str) -> str:
    return name.replace("_", "-")


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "token_normalize_func": _dashes, "max_content_width": 110},
)
@click.version_option(package_name="code-harness", prog_name="harness")
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
def main(verbose: bool) -> None:
    """Evaluate code models: sandboxed, unforgeable pass@k on HumanEval, MBPP and their + versions."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for name in ("urllib3", "docker", "openai", "httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@main.command("eval")
@click.option("--model", "-m", help="`canonical`, `demo:student`, a checkpoint folder, or org/name[@revision].")
@click.option("--samples", type=click.Path(path_type=Path), help="Judge a samples file (.jsonl, .jsonl.gz) or a run's.")
@click.option(
    "--repeat",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Do a run again as its run.json says, into --out, and compare the samples.",
)
@click.option("--tasks", "-t", help="Benchmarks, separated by commas, or a .jsonl file of your own.")
@backend_options
@encoder_options
@price_option
@click.option("--protocol", default="default", show_default=True, help="Prompt, stop strings and extraction, by name.")
@click.option("--shots", type=click.Path(path_type=Path), help="gsm8k: solved questions of your own to show (.jsonl).")
@click.option("-n", "--n-samples", type=int, help="Samples per task.  [default: the protocol's]")
@click.option("--greedy", is_flag=True, help="Temperature 0, one sample per task.")
@click.option("--temperature", type=float, help="Sampling temperature; 0 is greedy.  [default: the protocol's]")
@click.option("--top-p", type=float, help="Nucleus sampling.  [default: the protocol's]")
@click.option(
    "--max-new-tokens", type=int, help="Longest completion, in tokens, behind any prompt.  [default: the protocol's]"
)
@click.option(
    "--reasoning",
    type=click.Choice([AUTO, *RULES]),
    default=AUTO,
    show_default=True,
    help="What of a completion is thinking: nothing, what stands in <think> at its beginning, or, where the prompt "
    "opened that, what comes before </think>; auto asks the tokenizer.",
)
@click.option(
    "--max-reasoning-tokens", type=click.IntRange(1), help="Thinking gets these, and the answer --max-new-tokens."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the samples.")
@click.option(
    "--batch-size", "--bs", type=int, show_default="8, vllm the engine's", help="Prompts, or requests, at once."
)
@click.option("--limit", type=int, help="Only the first N tasks.")
@click.option("--tiers", type=click.Path(path_type=Path), help="A file of `harness tiers --out`: the tasks' tiers.")
@click.option("--weak-below", type=float, metavar="RATE", help="A tier is weak below this pass rate, in 0..1.")
@click.option("--weak-baseline", type=click.Path(path_type=Path), help="A tier is weak below this run, paired.")
@click.option("--partial", is_flag=True, help="Accept samples that are not there for all tasks.")
@click.option("--generate-only", is_flag=True, help="Write the samples and judge none; needs no sandbox.")
@click.option("--no-audit", is_flag=True, help="Do not judge what other extraction rules make of samples that fail.")
@sandbox_option
@workers_option
@click.option("--image", default="auto", show_default=True, help="Docker image: auto, registry, host, or a name.")
@click.option("--runtime", help="Docker runtime, e.g. runsc.")
@click.option(
    "--cpu-seconds",
    type=click.FloatRange(0.1),
    default=3.0,
    show_default=True,
    help="CPU time per program (not for + benchmarks).",
)
@click.option(
    "--wall-seconds",
    type=click.FloatRange(0.1),
    default=10.0,
    show_default=True,
    help="Wall-clock backstop per program.",
)
@click.option(
    "--memory-mb", type=click.IntRange(64), show_default="1024, for + benchmarks 4096", help="Memory per program."
)
@click.option(
    "--min-time-limit",
    type=click.FloatRange(0.1),
    default=4.0,
    show_default=True,
    help="+ benchmarks: least CPU seconds per call.",
)
@click.option(
    "--gt-time-limit-factor",
    type=click.FloatRange(1.0),
    default=4.0,
    show_default=True,
    help="+ benchmarks: CPU time per call, times the reference's.",
)
@click.option(
    "--out",
    "--output-path",
    "-o",
    type=click.Path(path_type=Path),
    show_default="runs/<model>--<tasks>, for a run's samples that run",
    help="Run folder; several benchmarks get a folder each in it.",
)
@click.option(
    "--cache",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Take over verdicts of earlier runs, and keep these, in DIR, or in $HARNESS_CACHE/verdicts.",
)
@click.option("--no-resume", is_flag=True, help="Start afresh where the folder holds a run already.")
@click.option("--json", "as_json", is_flag=True, help="Print the reports as one JSON document.")
def eval_command(**options: Any) -> None:
    """Evaluate a model, or samples that are there, and write a run folder.

    Run the same command again to go on where a run was stopped. Samples can be written on one machine and judged on
    another: `--generate-only` there, `--samples RUN` here.
    """
    from harness.commands import (
        eval_config,
        judging_options,
        print_repetition,
        print_written,
        repeat_config,
        see_that_options_fit,
    )
    from harness.evaluation import evaluate, generate
    from harness.print_report import print_reports
    from harness.progress import progress_for

    context = click.get_current_context()
    see_that_options_fit(context)
    repeat, as_json = options["repeat"], options["as_json"]
    config = repeat_config(options) if repeat else eval_config(options)
    with _interrupts.end_soon():
        if options["generate_only"]:
            print_written(generate(config, progress_for()), judging_options(context), as_json)
            code = 0
        else:
            code = print_reports(evaluate(config, progress_for()), as_json)
    if repeat:
        print_repetition(repeat, config.out, as_json)
    sys.exit(code)


@main.command("tasks")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tasks_command(as_json: bool) -> None:
    """List the benchmarks and whether their data is on this machine."""
    from harness.commands import print_tasks

    print_tasks(as_json)


@main.command("show")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--failures", type=click.IntRange(0), show_default="5, in a page 200", help="How many failures to show; 0 for none."
)
@click.option("--task", help="Only this task, passes included.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a self-contained page to this file instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show_command(run: Path, failures: int | None, task: str | None, html: Path | None, as_json: bool) -> None:
    """Show a run: its outcomes, then failures with code, first failing input, expected and actual value."""
    from harness.pages import write_run_page
    from harness.print_report import show

    if html is None:
        show(run, 5 if failures is None else failures, task, as_json)
    elif as_json:
        raise click.UsageError("--html and --json exclude each other")
    else:
        write_run_page(run, html, failures, task)
        click.echo(html)


@main.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor_command(as_json: bool) -> None:
    """Say whether this machine can run and time programs fairly, with one fix per finding."""
    from harness.commands import print_doctor

    sys.exit(print_doctor(as_json))


@main.command("tinypy")
@click.option("--count", "-n", type=click.IntRange(1), default=10_000, show_default=True, help="How many programs.")
@click.option("--levels", default="all", show_default=True, help="Of 1.1, 1.2, 2.1, 2.2, 3.1, 3.2, 4.1; with commas.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same programs.")
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="Name of the .txt and .jsonl file.")
@sandbox_option
@workers_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def tinypy_command(as_json: bool, **options: Any) -> None:
    """Write TinyPy programs with their output, for training: none twice, none of the test set."""
    from harness.tinypy.command import make, print_written

    print_written(make(options), as_json)


for _command in (*COMMANDS, *AUDIT_COMMANDS, selftest_command, tiers_command):
    main.add_command(_command)


def run() -> None:
    """The `harness` command: `main`, with each failure turned into one message and an exit code."""
    try:
        main(standalone_mode=False)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _interrupts.say()
        sys.exit(EXIT_INTERRUPTED)
    except Exception as error:
        code = _exit_code(error)
        if code is None:
            raise
        click.echo(f"harness: {error}", err=True)
        sys.exit(code)


def _exit_code(error: Exception) -> int | None:
    """Return the exit code of a failure that is ours to report, None for a bug."""
    from harness.errors import HarnessError
    from sandbox import SandboxError

    if isinstance(error, HarnessError):
        return error.exit_code
    is_machine = isinstance(error, SandboxError) or (isinstance(error, OSError) and error.errno in _MACHINE_ERRORS)
    return EXIT_INVALID if is_machine else None


if __name__ == "__main__":
    run()
