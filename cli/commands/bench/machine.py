"""omad-search bench: how fast this machine is, and what to make of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cli.options import Json, Set
from cli.show import json_output, numbers
from cli.show.console import out, say
from cli.show.tables import FoldingTable
from tracking.machine import cores

if TYPE_CHECKING:
    from omad_core.bench.checkpoint_cost import SavingCost
    from omad_core.bench.environments import EnvironmentSpeeds
    from omad_core.bench.updates import UpdateSpeeds
    from omad_core.config import TrainConfig

NETWORKS = {"actor.hidden_width": 256, "critic.hidden_width": 256}
"""Beside the defaults (K = 8, batch 256): large enough that products count, small enough for a laptop."""
WORTH_PACKING = 1.15
"""Members are packed where they make at least so many times the updates of one."""


@dataclass(frozen=True)
class MachineSpeeds:
    """All that was measured."""

    environment: "EnvironmentSpeeds"
    updates: "UpdateSpeeds"
    saving: "SavingCost"


def bench(
    task: Annotated[str, typer.Option("--task", help="A task of `omad-search tasks`.")] = "hopper",
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda:N", help="Where updates run.")] = "cpu",
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="About how long it measures in all.")
    ] = 60.0,
    algorithm: Annotated[
        str, typer.Option("--algorithm", help="Whose updates: omad, gaussian, hasac, madpmd.")
    ] = "omad",
    set_: Set = [],  # noqa: B006 - typer reads it and never changes it
    json: Json = False,
) -> None:
    """Measure environments, updates, acting and checkpoints on this machine; suggests workers and pack size."""
    import torch

    from omad_core.engine.devices import device_of

    config = _config(task, algorithm, set_)
    device_of(device)
    torch.set_num_threads(1)
    measured = _measure(config, device, seconds)
    workers, pack = suggest(measured.updates, device)
    if json:
        json_output.show(_record(config, device, measured, workers, pack))
        return
    out().print(FoldingTable(_table(config, measured)))
    say(f"Suggested: --workers {workers}, and {pack} member{'s' if pack > 1 else ''} a program on {device}.")


def _config(task: str, algorithm: str, pairs: list[str]) -> "TrainConfig":
    from omad_core import settings
    from omad_core.config import default_config
    from search.study.request import parse_settings

    given = parse_settings(pairs)
    return settings.replace(default_config(task, given.get("algorithm", algorithm)), {**NETWORKS, **given})


def _measure(config: "TrainConfig", device: str, seconds: float) -> MachineSpeeds:
    from omad_core.bench import checkpoint_cost, environments, updates

    threads = cores.usable()
    with out().status("environments"):
        speeds = environments.measure(config.task, config.env, threads=threads, seconds=0.2 * seconds)
    with out().status("checkpoints"):
        cost = checkpoint_cost.measure(config)
    with out().status("updates"):
        members = (1, 4, 16) if device == "cpu" else (1, 8, 32, 64)
        update = updates.measure(config, members, device, 0.4 * seconds)
    return MachineSpeeds(speeds, update, cost)


def suggest(updates: "UpdateSpeeds", device: str) -> tuple[int, int]:
    """Worker processes, and members a program: as many as still make more updates in all."""
    pack = max(updates.ms, key=updates.gain)
    pack = pack if updates.gain(pack) > WORTH_PACKING else 1
    return cores.usable() if device == "cpu" else 1, pack


def _table(config: "TrainConfig", measured: MachineSpeeds) -> Table:
    table = Table(
        box=SIMPLE_HEAD, title=f"{config.task}, {config.algorithm}, one torch thread", title_justify="left"
    )
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("beside")
    rows = _environment(measured.environment) + _updates(measured.updates, config) + _saving(measured.saving)
    for row in rows:
        table.add_row(*row)
    return table


def _environment(speeds: "EnvironmentSpeeds") -> list[tuple[str, str, str]]:
    rows = [(f"environment steps/s a core, {speeds.num_envs} at once", numbers.rate(speeds.ours), "")]
    if speeds.original and speeds.over_original:
        beside = f"ours is {speeds.over_original:.1f} x"
        rows.append(("  the original package, one environment", numbers.rate(speeds.original), beside))
    if speeds.physics and speeds.share_of_physics:
        beside = f"ours is {speeds.share_of_physics:.0%} of it"
        rows.append(("  mj_step alone, same actions", numbers.rate(speeds.physics), beside))
    beside = f"{speeds.threaded / speeds.ours:.2f} x one core; less where others use the machine"
    return [*rows, (f"  wall clock, {speeds.threads} threads", numbers.rate(speeds.threaded), beside)]


def _updates(speeds: "UpdateSpeeds", config: "TrainConfig") -> list[tuple[str, str, str]]:
    rows = [
        (f"update, P = {members}", f"{ms:.1f} ms", _gain(speeds, members))
        for members, ms in speeds.ms.items()
    ]
    products = f"{speeds.gflop:.2f} GFLOP; an update takes {speeds.over_products:.2f} x"
    gaussian = f"an update takes {speeds.over_gaussian:.2f} x"
    return [
        *rows,
        ("  its matrix products alone, P = 1", f"{speeds.products_ms:.1f} ms", products),
        ("  a Gaussian policy's, P = 1", f"{speeds.gaussian_ms:.1f} ms", gaussian),
        ("acting, one environment", f"{speeds.acting_ms:.2f} ms", ""),
    ]


def _gain(speeds: "UpdateSpeeds", members: int) -> str:
    total = f"{1e3 * members / speeds.ms[members]:,.1f} updates/s in all"
    return total if members == 1 else f"{total}, {speeds.gain(members):.2f} x"


def _saving(cost: "SavingCost") -> list[tuple[str, str, str]]:
    return [
        (
            f"checkpoint of {cost.transitions:,} transitions",
            f"{cost.full_cpu:.2f} s",
            f"{cost.full_wall:.2f} s wall, {cost.full_bytes / 1e6:,.0f} MB",
        ),
        (
            f"  {cost.new:,} transitions later",
            f"{cost.new_cpu:.2f} s",
            f"{cost.share:.1%} of it; {cost.new_wall:.2f} s wall, {cost.new_bytes / 1e6:,.0f} MB",
        ),
    ]


def _record(
    config: "TrainConfig", device: str, measured: MachineSpeeds, workers: int, pack: int
) -> dict[str, Any]:
    from omad_core import settings

    derived = {
        "update_over_products": measured.updates.over_products,
        "update_over_gaussian": measured.updates.over_gaussian,
        "environment_over_original": measured.environment.over_original,
        "environment_share_of_physics": measured.environment.share_of_physics,
        "checkpoint_share": measured.saving.share,
    }
    return {
        "device": device,
        "config": settings.to_dict(config),
        "environment": measured.environment,
        "updates": measured.updates,
        "saving": measured.saving,
        "ratios": derived,
        "suggestion": {"workers": workers, "members": pack},
    }
