"""`harness distill scorer`: fine-tune a scoring model on a teacher's assessments, for `attempts.views.scorer`."""

from __future__ import annotations

from pathlib import Path

import click

from distill.config import shipped


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--recipe", help=f"A recipe that is shipped: {', '.join(shipped('scorer'))}.")
@click.option("--config", type=click.Path(path_type=Path), help="A recipe of your own (YAML).")
@click.option("--set", "changes", metavar="KEY=VALUE", multiple=True, help="Change a value, e.g. training.epochs=2.")
@click.option(
    "--feedback",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A feedback.jsonl with model views, one for each RUN, instead of asking the teacher.",
)
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, help="The scoring model's folder.")
def scorer(
    runs: tuple[Path, ...],
    recipe: str | None,
    config: Path | None,
    changes: tuple[str, ...],
    feedback: tuple[Path, ...],
    out: Path,
) -> None:
    """Fine-tune a scoring model on a teacher's assessments of judged programs, and compare it with the teacher.

    RUN is the folder of an evaluation on tasks to train on, as a round's attempts are. The teacher is asked for the
    points of each program; what it has no points for every rule for is left out. Killed and started again it goes on.

    \b
    harness distill scorer runs/loop/rounds/01/attempts --recipe qwen2.5-coder-1.5b --out scorer
    harness distill run --recipe iterkd --set attempts.rule=paper --set attempts.views.scorer=./scorer --out runs/next
    """
    from distill.config import chosen
    from distill.scorer import ScorerConfig, make_scorer

    report = make_scorer(chosen("scorer", recipe, config, ScorerConfig, changes), runs, out, feedback)
    ours = report.agreement
    click.echo(f"{out}: {report.rows} of {report.assessed} assessments learnt in {report.steps} steps")
    click.echo(
        f"on {ours.programs} programs of other tasks: {ours.readable} scores to be read, {ours.equal} equal to the "
        f"teacher's ({ours.most_common} by always giving the most common one)"
    )
