"""omad-search: the entry point. Commands live in modules of their own and import the heavy rooms when called."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from cli import logs
from cli.bench import bench
from cli.bench_storage import bench_storage
from cli.best import best
from cli.doctor import doctor
from cli.errors import guarded
from cli.evaluate import evaluate
from cli.export import export
from cli.launch import launch
from cli.move import move
from cli.results import results
from cli.run import run
from cli.server import server
from cli.status import status
from cli.steering import extend, pause, resume, retry, stop
from cli.studies import studies
from cli.sync import sync
from cli.tasks import tasks
from cli.train import train
from cli.trials import trials
from cli.ui import ui
from cli.worker import worker

app = typer.Typer(
    name="omad-search",
    help="Search hyperparameters of OMAD, train it, and keep what was found in MLflow.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
LOOKING = (status, trials, best, evaluate, export, ui, studies, tasks)
STEERING = (worker, server, sync, pause, resume, stop, extend, retry, move, launch)
MEASURING = (bench, bench_storage, results)
for command in (run, train, *LOOKING, *STEERING, *MEASURING, doctor):
    app.command()(command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 done, 1 failed, 2 wrongly asked, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    if debug:  # allowed anywhere, known to the root alone
        words = ["--debug", *(word for word in words if word != "--debug")]
    sys.exit(guarded(lambda: _run(words), debug))


def _run(words: list[str]) -> int:
    code = app(args=words, prog_name="omad-search", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"omad-search {version('omad-search')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and more of the log.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    logs.configure(debug)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


if __name__ == "__main__":
    main()
