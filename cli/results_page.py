"""The page of results: a table and curves a task, between two marks; what people write around them stays."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

from cli import words
from cli.sparkline import scale, sparkline
from omad_core.assessment import assess_random
from omad_core.config import EnvConfig
from omad_core.errors import ConfigError
from omad_core.evidence import ALGORITHMS, TASKS, Cell, Record
from omad_core.statistics import summarise
from omad_core.tasks import find

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
CURVE_WIDTH = 20
RANDOM_EPISODES = 200


def write(page: Path, records: Sequence[Record]) -> None:
    """Put the tables between the marks of a page, which is begun where there is none. Raises ConfigError."""
    text = page.read_text() if page.exists() else f"# Results\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text or END not in text:
        raise ConfigError(f"{page} has no lines {BEGIN!r} and {END!r} to write the results between")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{before}{BEGIN}\n{_tables(records)}\n{END}{after}")


def _tables(records: Sequence[Record]) -> str:
    day = datetime.now(UTC).date().isoformat()
    parts = [f"Written by `omad-search results` on {day} from `results.jsonl`."]
    for task in TASKS:
        known = {name: _finished(records, task, name) for name in ALGORITHMS}
        if any(known.values()):
            parts += [_heading(task, known), _table(task, known), _curves(known)]
    return "\n\n".join(parts)


def _finished(records: Sequence[Record], task: str, algorithm: str) -> list[Record]:
    """Records of this task and algorithm with the settings of today, one a seed."""
    own = [r for r in records if r.task == task and r.algorithm == algorithm]
    return list({r.seed: r for r in own if r.of(Cell(task, algorithm, r.seed))}.values())


def _heading(task: str, known: dict[str, list[Record]]) -> str:
    record = next(r for records in known.values() for r in records)
    versions = ", ".join(f"{name} {number}" for name, number in sorted(record.versions.items()))
    steps = int(record.settings["env_steps"])
    return f"## {find(task).title}\n\n{steps:,} environment steps. {record.environment}; {versions}."


def _table(task: str, known: dict[str, list[Record]]) -> str:
    lines = [
        "| algorithm | seeds | final return | 95 % interval | each seed | whole curve | CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, records) for name, records in known.items() if records]
    random = summarise(assess_random(task, EnvConfig(), RANDOM_EPISODES).returns)
    interval = f"{words.score(random.low)} to {words.score(random.high)}"
    lines.append(
        f"| random play, {RANDOM_EPISODES} episodes | | {words.score(random.mean)} | {interval} | | | |"
    )
    return "\n".join(lines)


def _row(name: str, records: Sequence[Record]) -> str:
    ended = [r for r in records if r.final_returns]
    finals = [fmean(r.final_returns) for r in ended]
    diverged = f", {len(records) - len(ended)} diverged" if len(ended) < len(records) else ""
    mean = words.score(fmean(finals)) if finals else "-"
    summary = summarise(finals) if len(finals) > 1 else None
    interval = f"{words.score(summary.low)} to {words.score(summary.high)}" if summary else "-"
    each = ", ".join(words.score(value) for value in finals)
    whole = words.score(fmean(fmean(point["return"] for point in r.curve) for r in ended)) if ended else "-"
    cpu = f"{fmean(r.cpu_seconds for r in records):,.0f}"
    return f"| {name} | {len(records)}{diverged} | {mean} | {interval} | {each} | {whole} | {cpu} |"


def _curves(known: dict[str, list[Record]]) -> str:
    """Mean return at every evaluation, over the seeds that are there."""
    curves = {name: _mean_curve(records) for name, records in known.items() if records}
    low, high = scale(list(curve.values()) for curve in curves.values())
    steps = sorted({step for curve in curves.values() for step in curve})
    shown = [step for number, step in enumerate(steps, start=1) if number % max(1, len(steps) // 5) == 0]
    width = max(len(name) for name in curves)
    lines = [" " * (width + CURVE_WIDTH + 2) + "".join(f"{step:>10,}" for step in shown)]
    for name, curve in curves.items():
        line = sparkline(list(curve.values()), CURVE_WIDTH, low, high)
        numbers = "".join(f"{words.score(curve.get(step)):>10}" for step in shown)
        lines.append(f"{name:<{width}}  {line:<{CURVE_WIDTH}}{numbers}")
    return "Mean return at evaluations, all on one scale:\n\n```\n" + "\n".join(lines) + "\n```"


def _mean_curve(records: Sequence[Record]) -> dict[int, float]:
    values: dict[int, list[float]] = {}
    for record in records:
        for point in record.curve:
            values.setdefault(int(point["step"]), []).append(point["return"])
    return {step: fmean(values[step]) for step in sorted(values)}
