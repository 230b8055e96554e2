"""The commands that ask where a score comes from: rejudge and explain."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from harness.options import sandbox_option, workers_option


@click.command("rejudge")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--protocol", help="Stop strings and extraction, by name.")
@click.option("--extraction", metavar="RULE", help="The rule that makes programs of completions, by name.")
@click.option(
    "--out", "-o", type=click.Path(path_type=Path), show_default="RUN--<protocol or rule>", help="The new run's folder."
)
@click.option("--partial", is_flag=True, help="Accept a run whose samples are not all there.")
@click.option("--no-audit", is_flag=True, help="Do not judge what other extraction rules make of samples that fail.")
@sandbox_option
@workers_option
@click.option("--no-resume", is_flag=True, help="Start afresh where the folder holds a run already.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON document.")
def rejudge_command(run: Path, as_json: bool, **options: Any) -> None:
    """Judge a run's completions again by another protocol or extraction rule, without generating.

    RUN is left as it is; limits and data are its own. What another protocol would have asked or stopped at otherwise is
    said, for then the result is not what a model would have come to by it.
    """
    from harness.print_report import print_reports
    from harness.progress import progress_for
    from harness.rejudge import RejudgeConfig, rejudge

    config = RejudgeConfig(
        run=run,
        protocol=options["protocol"],
        extraction=options["extraction"],
        out=options["out"],
        partial=options["partial"],
        resume=not options["no_resume"],
        sandbox=options["sandbox"],
        workers=options["workers"] or len(os.sched_getaffinity(0)),
        audit=not options["no_audit"],
    )
    out, report = rejudge(config, progress_for())
    click.echo(f"{run} judged again in {out}", err=True)
    sys.exit(print_reports([report], as_json))


@click.command("explain")
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def explain_command(before: Path, after: Path, as_json: bool) -> None:
    """Say why two runs of the same tasks differ: their settings, and what made each task flip.

    A cause is named by what the runs' files show: the same completion and another program is extraction, the same
    program and another verdict is the tests, the limits or the machine, and so on.
    """
    from harness.explain import explain
    from harness.print_explain import print_explanation

    print_explanation(explain(before, after), as_json)


COMMANDS: tuple[click.Command, ...] = (rejudge_command, explain_command)
