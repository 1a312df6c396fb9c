"""Reproduction: what to type, with which seeds, versions and settings, to get the same study again."""

import json
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.confirmation.held_out_seeds import HELD_OUT
from search.reports.page.content import PageTable, Section, Text
from search.study.origin import CONFIRM
from search.study.study_spec import StudySpec
from search.view.confirmation import CandidateView
from search.view.views import StudyView, TrialView
from tracking.errors import TrackingError
from tracking.machine.provenance import provenance
from tracking.tracker import Tracker

OPTIONS = {"trials": "--trials", "seeds": "--seeds", "seed": "--study-seed", "env_steps": "--env-steps"}
DOCUMENT = "provenance.json"
FEW = 8


def section(
    again: str, specs: Sequence[StudySpec], candidates: Sequence[CandidateView], facts: Mapping[str, Any]
) -> Section:
    """The last part of a page: `again` is the command that begins it anew, `facts` are of `versions`."""
    return Section(
        "reproduce",
        "How to reproduce it",
        notes=[
            "The same command, seeds and versions on the same kind of machine propose the same trials with one worker; "
            "with several, the order in which results arrive decides what is proposed next."
        ],
        tables=[PageTable("Seeds", ("what", "value"), _seeds(specs[0], candidates)), _versions(facts)],
        texts=[
            Text("Begin it again", again),
            *(Text(f"Every setting of {spec.name}", _pretty(spec.to_json()), folded=True) for spec in specs),
        ],
    )


def command(spec: StudySpec) -> str:
    """The command that begins the study, from what was typed where that is known."""
    origin = spec.origin
    task = (origin.file if origin and origin.file else "") or spec.task
    words = ["omad-search", "run", "--task", task, "--study", spec.name, "--profile", spec.profile]
    words += typed(origin.options if origin else {"trials": spec.trials, "seed": spec.seed})
    if origin and origin.reuse:
        words += ["--reuse", origin.reuse]
    return shlex.join(words)


def typed(options: Mapping[str, Any]) -> list[str]:
    """Stored options as the words that were typed."""
    words = []
    for name, value in options.items():
        if name == CONFIRM:
            words += [] if value else ["--no-confirm"]
        elif name in OPTIONS:
            words += [OPTIONS[name], str(value)]
        else:
            words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return words


def _seeds(spec: StudySpec, candidates: Sequence[CandidateView]) -> list[tuple[str, str]]:
    rows = [
        ("study seed", str(spec.seed)),
        ("training seeds of every trial", _few([str(seed) for seed in spec.training_seeds])),
    ]
    if candidates:
        numbers = sorted({seed for candidate in candidates for seed in candidate.values})
        rows.append(("held-out seeds", _few([f"{HELD_OUT + number:,}" for number in numbers])))
    return rows


def _few(values: Sequence[str]) -> str:
    shown = values if len(values) <= FEW else [*values[: FEW - 1], "…", values[-1]]
    return "; ".join(shown) or "-"


def _versions(facts: Mapping[str, Any]) -> PageTable:
    """Of the machine that trained the best trial, or of this one where that is not known."""
    git, cpu = facts.get("git") or {}, facts.get("cpu") or {}
    rows = [(name, str(version)) for name, version in (facts.get("packages") or {}).items()]
    rows += [("Python", str(facts.get("python", "-"))), ("system", str(facts.get("platform", "-")))]
    rows.append(("processor", f"{cpu.get('name', '-')}, {cpu.get('cores', '-')} cores"))
    rows += [("GPU", str(name)) for name in facts.get("gpus") or ()]
    if git:
        rows.append(
            ("commit of the working folder", f"{git['commit']}{', changed' if git.get('dirty') else ''}")
        )
    return PageTable(facts.get("title", "Versions"), ("what", "version"), rows)


def versions(study: StudyView, tracker: Tracker | None) -> Mapping[str, Any]:
    """What the best trial was trained with, or another one; of this machine where MLflow does not say."""
    ended = [trial for trial in (study.best, *study.trials) if trial is not None and trial.run_id]
    stored = _stored(ended[0], tracker) if ended and tracker is not None else None
    return stored or {**provenance(), "title": "Versions on the machine that made this page"}


def _stored(trial: TrialView, tracker: Tracker) -> Mapping[str, Any] | None:
    with tempfile.TemporaryDirectory(prefix="omad-versions-") as folder:
        file = Path(folder) / DOCUMENT
        try:
            tracker.download(str(trial.run_id), DOCUMENT, file)
            stored: Mapping[str, Any] = json.loads(file.read_text())
        except (TrackingError, ValueError):
            return None
    return {**stored, "title": f"Versions that trained trial {trial.number}"}


def _pretty(spec: str) -> str:
    return json.dumps(json.loads(spec), indent=2, ensure_ascii=False)
