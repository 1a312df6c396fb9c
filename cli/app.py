"""omad-search: its commands. Each lives in a module of its own and imports the heavy rooms when it is called."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from cli import logs
from cli.commands.bench.machine import bench
from cli.commands.bench.storage import bench_storage
from cli.commands.best import best
from cli.commands.compare import compare
from cli.commands.doctor import doctor
from cli.commands.evaluate import evaluate
from cli.commands.export import curves, export
from cli.commands.launch import launch
from cli.commands.move import move
from cli.commands.report import report
from cli.commands.run import confirm, run
from cli.commands.server import server
from cli.commands.status import status
from cli.commands.steering import extend, pause, resume, retry, stop
from cli.commands.studies import studies
from cli.commands.sync import sync
from cli.commands.tasks import tasks
from cli.commands.train import train
from cli.commands.trials import trials
from cli.commands.ui import ui
from cli.commands.worker import worker
from cli.errors import Interrupted, run_guarded
from cli.options import strip_environment
from cli.show import stdout
from cli.show.help import HelpfulCommand, HelpfulGroup


class Command(HelpfulCommand):
    """Has standard output to itself while it runs."""

    def invoke(self, ctx: Any) -> Any:
        """As typer's own."""
        stdout.reserve()
        return super().invoke(ctx)


class Commands(HelpfulGroup):
    """Lets an interrupt through, which typer would turn into an exit without a word."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """As typer's own."""
        try:
            return super().make_context(*args, **kwargs)
        except KeyboardInterrupt:
            raise Interrupted from None

    def invoke(self, ctx: Any) -> Any:
        """As typer's own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted from None


app = typer.Typer(
    name="omad-search",
    cls=Commands,
    help="Search hyperparameters of OMAD, train it, and keep what was found in MLflow.",
    epilog="Begin with: omad-search run --task hopper",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[Callable[..., None], str] = {
    run: "run --task hopper --trials 30",
    confirm: "confirm hopper --top 3",
    compare: "compare --task hopper --algorithms omad,gaussian --trials 12 --seeds 5",
    train: "train --task hopper --set gamma=0.98 --out policy",
    status: "status hopper --watch",
    trials: "trials hopper --json",
    best: "best hopper",
    report: "report hopper --out hopper.html",
    evaluate: "evaluate models:/omad-hopper@champion --episodes 100",
    export: "export hopper --trial 7 --to policy",
    curves: "curves hopper",
    ui: "ui --port 5001",
    tasks: "tasks --json",
    worker: "worker hopper --storage postgresql://tuner@db/omad --tracking http://track:5000",
    server: "server --artifacts models --storage postgresql://tuner@db/omad",
    sync: "sync hopper",
    pause: "pause hopper",
    resume: "resume hopper",
    stop: "stop hopper",
    extend: "extend hopper --trials +50",
    retry: "retry hopper --failed",
    move: "move hopper --storage sqlite:///omad.db --to postgresql://tuner@db/omad",
    launch: "launch slurm hopper --workers 16",
    bench: "bench --task hopper --seconds 30",
    bench_storage: "bench-storage --storage postgresql://tuner@db/omad --workers 100",
    doctor: "doctor --devices 0,1",
}
"""Every command in the order of the help, with an example."""
for command, example in COMMANDS.items():
    app.command(cls=Command, epilog=f"Example: omad-search {example}")(command)
app.add_typer(studies, name="studies", epilog="Example: omad-search studies show hopper")


def execute(argv: Sequence[str]) -> int:
    """Run one command; its exit code. Raises KeyboardInterrupt."""
    strip_environment()
    debug = "--debug" in argv
    args = [arg for arg in argv if arg != "--debug"]  # allowed anywhere, known to the root alone
    return run_guarded(lambda: _run(["--debug", *args] if debug else args), debug)


def _run(args: list[str]) -> int:
    code = app(args=args, prog_name="omad-search", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _show_version(requested: bool) -> None:
    if requested:
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
