"""omad-search bench-storage: what a database bears: many workers at once, and a study of many trials."""

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.options import DEFAULT_STORAGE, Json, Storage
from cli.show import json_output, numbers
from cli.show.console import out, say
from cli.show.tables import FoldingTable

if TYPE_CHECKING:
    from search.bench.crowd import CrowdLoad
    from search.bench.large_study import StudyGrowth
    from search.slots.studies import StudyHandle
    from search.storage.store import Store

CALLS = ("claim", "bind", "renew", "report", "finish", "publish")
SAMPLERS = ("random", "tpe")
SLOTS_A_SECOND = 200
"""More than any database here finishes."""


def bench_storage(
    storage: Storage = DEFAULT_STORAGE,
    workers: Annotated[int, typer.Option("--workers", min=8, max=2_000, help="Simulated workers.")] = 200,
    seconds: Annotated[float, typer.Option("--seconds", min=1.0, help="For how long they work.")] = 30.0,
    trials: Annotated[
        int, typer.Option("--trials", min=1, max=1_000_000, help="Trials of the large study.")
    ] = 10_000,
    json: Json = False,
) -> None:
    """Measure a storage: simulated workers that claim and finish without training; status of a large study.

    The studies it makes are deleted again.
    """
    from search.bench.crowd import press
    from search.bench.large_study import grow
    from search.storage.store import open_storage

    name = f"bench-{uuid.uuid4().hex[:8]}"
    with open_storage(storage, create=True) as store:
        try:
            _make(store, f"{name}-crowd", workers + int(seconds * SLOTS_A_SECOND))
            say(f"{numbers.count(workers, 'worker')} for {seconds:.0f} s on {store.address}", stderr=True)
            pressed = press(storage, f"{name}-crowd", workers, seconds)
            handle = _make(store, f"{name}-many", trials + 1)
            say(f"a study of {numbers.count(trials, 'trial')}", stderr=True)
            grown = grow(storage, handle, trials, SAMPLERS)
        finally:
            for study in (f"{name}-crowd", f"{name}-many"):
                _delete(store, study)
    if json:
        json_output.show({"pressed": pressed, "grown": grown})
    else:
        out().print(FoldingTable(_table(pressed, grown)))
    if errors := [*pressed.probes.errors, *pressed.crowd.errors]:
        say(f"{numbers.count(len(errors), 'worker')} failed: {errors[0]}", stderr=True)
        raise typer.Exit(1)


def _make(store: "Store", name: str, trials: int) -> "StudyHandle":
    from search.slots.studies import create_study
    from search.study import catalog
    from search.study.request import StudyRequest

    requested = StudyRequest(profile="smoke", numbers={"trials": trials})
    spec = catalog.build(catalog.find("hopper"), requested, has_gpu=False, name=name)
    return create_study(store, name, trials, spec.to_json())


def _delete(store: "Store", name: str) -> None:
    from search.bench.large_study import clear
    from search.errors import StudyNotFound
    from search.slots.studies import delete_study, open_study

    with suppress(StudyNotFound):
        handle = open_study(store, name)
        clear(store, handle)
        delete_study(store, handle)


def _table(pressed: "CrowdLoad", grown: "StudyGrowth") -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("what", "measured", "beside"):
        table.add_column(heading, justify="right" if heading == "measured" else "left")
    rate = f"{pressed.claims_per_second:.1f}"
    table.add_row(
        f"claims/s, {numbers.count(pressed.workers, 'worker')}", rate, "each with all writes of a trial"
    )
    for call in CALLS:
        if call in pressed.probes.seconds:
            middle, slow = pressed.probes.ms(call, 0.5), pressed.probes.ms(call, 0.99)
            table.add_row(f"  {call}, median", f"{middle:,.0f} ms", f"99 % within {slow:,.0f} ms")
    put_off = pressed.probes.put_off + pressed.crowd.put_off
    table.add_row("  calls that had to be tried again", f"{put_off:,}", "")
    if pressed.most_connections is not None:
        table.add_row("connections, at most", str(pressed.most_connections), "")
        table.add_row("connections while training", str(pressed.training_connections), "")
    table.add_row(
        f"status of {numbers.count(grown.trials, 'trial')}",
        f"{grown.status_seconds:.2f} s",
        f"{grown.status_cpu_seconds:.2f} s of the processor",
    )
    for sampler, took in grown.ask_seconds.items():
        first, later = took
        table.add_row(f"  {sampler} proposes the next one", f"{later:.2f} s", f"a new worker: {first:.2f} s")
    return table
