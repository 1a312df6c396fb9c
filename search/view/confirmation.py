"""What a confirmation showed: each candidate's value a held-out seed, its difference to the defaults, one sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna.trial import FrozenTrial

from omad_core import settings
from omad_core.results.comparison import Estimate, PairedDifference, compare, estimate, holm
from search.confirmation.candidates import complete, key_of
from search.confirmation.pair import confirmation_of
from search.slots.keys import DEFAULTS
from search.slots.studies import StudyHandle
from search.storage.reader import Reader
from search.study.confirmation import CANDIDATE, CONFIGURATION, SEED
from search.study.study_spec import StudySpec
from search.view import status
from search.view.trial_history import all_trials
from search.view.views import StudyView, TrialView


@dataclass(frozen=True)
class CandidateView:
    """One setting, trained again with every held-out seed."""

    trial: int
    """The trial of the search that it is."""
    default: bool
    """Whether it is the untuned parameters."""
    best: bool
    """Whether it is what the search found best."""
    values: Mapping[int, float | None]
    """Mean return of the last evaluations by held-out seed; None where there is none, or none yet."""
    notes: Mapping[int, str]
    """What went wrong, by held-out seed: `diverged`, `failed`."""
    trainings: Mapping[int, TrialView] = field(default_factory=dict)
    """By held-out seed, those that have begun."""
    estimate: Estimate | None = None
    """Over its seeds, once each has a value."""
    difference: PairedDifference | None = None
    """To the defaults, seed by seed; of the defaults themselves none."""
    p_corrected: float | None = None
    """Of the candidates beside the best: corrected for their number (Holm)."""

    @property
    def name(self) -> str:
        """Such as `best, trial 17`, `defaults, trial 0`, `trial 9`."""
        role = "best, " if self.best else "defaults, " if self.default else ""
        return f"{role}trial {self.trial}"


@dataclass(frozen=True)
class ConfirmationView:
    """What is known of the best of a search from trainings that no search has seen."""

    study: StudyView
    """The confirmation itself, as a study."""
    candidates: Sequence[CandidateView]
    """The search's best first, then the defaults, then the others."""
    sentence: str
    """What may be said of the best and the defaults."""

    @property
    def best(self) -> CandidateView | None:
        """What the search found best; None while it is not among those that are trained."""
        return next((candidate for candidate in self.candidates if candidate.best), None)

    @property
    def default(self) -> CandidateView | None:
        """The untuned parameters."""
        return next((candidate for candidate in self.candidates if candidate.default), None)


def read(store: Reader, search: StudyHandle, tracking: str = "") -> ConfirmationView | None:
    """The confirmation of a search; None where it has none. Raises StorageUnavailable."""
    with store.snapshot() as moment:
        handle = confirmation_of(moment, search)
        if handle is None:
            return None
        view = status.read(moment, handle, tracking)
        best = _best_key(moment, search, StudySpec.from_json(handle.spec).config.env_steps)
        trials = all_trials(moment, handle.study_id)
    candidates = _compare_with_defaults(_gather_candidates(trials, view, best))
    return ConfirmationView(view, candidates, _sentence(view, candidates))


def _best_key(store: Reader, search: StudyHandle, env_steps: int) -> str:
    """Names what the best trial of the search trains when it is confirmed; nothing before one is complete."""
    ids = {row.trial_id for row in complete(store, search)[:1] if row.trial_id is not None}
    for trial in all_trials(store, search.study_id, ids):
        config = StudySpec.from_json(search.spec).config_of(trial)
        return _without_seed(settings.to_dict(settings.replace(config, {"env_steps": env_steps})))
    return ""


def _without_seed(configuration: Mapping[str, Any]) -> str:
    return key_of({path: value for path, value in configuration.items() if path != "seed"})


def _gather_candidates(trials: Sequence[FrozenTrial], view: StudyView, best: str) -> list[CandidateView]:
    """The trainings by configuration: what is the same under two numbers is one candidate."""
    shown = {trial.number: trial for trial in view.trials if trial.state != "waiting"}
    by_key: dict[str, CandidateView] = {}
    for trial in trials:
        given = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        if CONFIGURATION not in trial.user_attrs or CANDIDATE not in given or SEED not in given:
            continue
        here = shown.get(trial.number)
        if here is None and trial.state.is_finished():
            continue  # tried again since, as another trial
        key = _without_seed(trial.user_attrs[CONFIGURATION])
        before = by_key.get(key) or CandidateView(given[CANDIDATE], False, key == best, {}, {})
        by_key[key] = replace(
            before,
            default=before.default or bool(trial.user_attrs.get(DEFAULTS)),
            values={**before.values, given[SEED]: _value(here) if here is not None else None},
            trainings={**before.trainings, **({given[SEED]: here} if here is not None else {})},
            notes={**before.notes, **({given[SEED]: here.state} if here and here.state in STUMBLED else {})},
        )
    return sorted(
        by_key.values(), key=lambda candidate: (not candidate.best, not candidate.default, candidate.trial)
    )


STUMBLED = ("diverged", "failed", "pruned")


def _value(trial: TrialView) -> float | None:
    """The score of a training that ended; of one that diverged, its last finite one."""
    if trial.state not in ("complete", "diverged"):
        return None
    if trial.score is not None and math.isfinite(trial.score):
        return trial.score
    finite = [value for value in trial.curve if math.isfinite(value)]
    return finite[-1] if finite else None


def _compare_with_defaults(candidates: Sequence[CandidateView]) -> list[CandidateView]:
    """With estimates, differences to the defaults, and corrected p-values of those beside the best."""
    default = next((candidate for candidate in candidates if candidate.default), None)
    known = [_with_difference(_with_estimate(candidate), default) for candidate in candidates]
    others = {
        n: candidate.difference.p_value
        for n, candidate in enumerate(known)
        if not candidate.best
        and candidate.difference is not None
        and candidate.difference.p_value is not None
    }
    corrected = holm(others)
    return [replace(candidate, p_corrected=corrected.get(n)) for n, candidate in enumerate(known)]


def _with_estimate(candidate: CandidateView) -> CandidateView:
    values = [candidate.values[seed] for seed in sorted(candidate.values)]
    whole = [value for value in values if value is not None]
    return replace(candidate, estimate=estimate(whole)) if whole and len(whole) == len(values) else candidate


def _with_difference(candidate: CandidateView, default: CandidateView | None) -> CandidateView:
    """Only where both have a value of every seed that either was to be trained with."""
    if default is None or candidate.default or not default.values:
        return candidate
    seeds = sorted(default.values.keys() & candidate.values.keys())
    pairs = [(candidate.values[seed], default.values[seed]) for seed in seeds]
    whole = [(a, b) for a, b in pairs if a is not None and b is not None]
    if not whole or len(whole) < len(pairs):
        return candidate
    return replace(candidate, difference=compare([a for a, _ in whole], [b for _, b in whole]))


def _sentence(view: StudyView, candidates: Sequence[CandidateView]) -> str:
    best = next((candidate for candidate in candidates if candidate.best), None)
    default = next((candidate for candidate in candidates if candidate.default), None)
    if missing := _missing(view, candidates):
        return missing
    if best is not None and best.default:
        return "the search found nothing better than the defaults"
    if best is None or default is None or best.difference is None:
        return "the best trial of the search has not been confirmed"
    return comparison_sentence(best.difference) + _diverged(best, default)


def _missing(view: StudyView, candidates: Sequence[CandidateView]) -> str:
    """Why nothing can be said yet; empty where it can."""
    failed = [
        _which(candidate, seed)
        for candidate in candidates
        for seed, note in candidate.notes.items()
        if note == "failed"
    ]
    if failed:
        return (
            f"nothing can be said before {', '.join(failed)} trained to the end: "
            f"`omad-search retry {view.name} --failed` tries again"
        )
    ended = sum(trial.ended for trial in view.trials)
    if ended < len(view.trials):
        return f"not confirmed yet: {ended} of {len(view.trials)} held-out trainings have ended"
    if lost := [
        _which(candidate, seed)
        for candidate in candidates
        for seed, value in candidate.values.items()
        if value is None
    ]:
        return f"nothing can be said: {', '.join(lost)} ended before the first evaluation"
    return ""


def _which(candidate: CandidateView, seed: int) -> str:
    return f"held-out {seed} of {'defaults' if candidate.default else f'trial {candidate.trial}'}"


def _diverged(*candidates: CandidateView) -> str:
    """Those that diverged, by name: they count with their last finite value."""
    names = [_which(c, seed) for c in candidates for seed, note in c.notes.items() if note == "diverged"]
    counts = "counts" if len(names) == 1 else "count"
    return f"; {', '.join(names)} diverged and {counts} with the last finite value" if names else ""


def comparison_sentence(paired: PairedDifference) -> str:
    """Such as `better than the defaults on 3 of 3 held-out seeds: +515 [+210, +820]`."""
    known = paired.difference
    if known.low is None or known.high is None:
        values = ", ".join(signed(value, max(map(abs, known.values))) for value in known.values)
        return f"not shown to be better than the defaults: {values} on {paired.seeds} held-out seeds; {known.why}"
    scale = max(abs(known.low), abs(known.high))
    figures = f"{signed(known.point, scale)} [{signed(known.low, scale)}, {signed(known.high, scale)}]"
    if paired.better:
        return f"better than the defaults on {paired.won} of {paired.seeds} held-out seeds: {figures}"
    return f"not shown to be better than the defaults: {figures}"


def signed(value: float, scale: float) -> str:
    """A difference with its sign, and with as many decimals as the largest of its company needs."""
    decimals = max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 0
    return f"{value:+,.{min(decimals, 6)}f}"


def confirmed_lines(confirmation: ConfirmationView) -> list[str]:
    """The sentence, and a line each of the best and the defaults: point, interval, a value a seed."""
    lines = [f"Confirmed on held-out seeds: {confirmation.sentence}."]
    for candidate in confirmation.candidates:
        if candidate.estimate is not None:
            known = candidate.estimate
            interval = "" if known.low is None else f" [{known.low:,.1f}, {known.high:,.1f}]"
            values = ", ".join(f"{value:,.1f}" for value in known.values)
            lines.append(f"{candidate.name}: {known.point:,.1f}{interval}, over seeds {values}.")
    return lines


def confirmed_tags(confirmation: ConfirmationView) -> dict[str, str]:
    """For the study's run in MLflow."""
    tags = {"omad.confirmed": confirmation.sentence}
    if confirmation.best is not None and confirmation.best.estimate is not None:
        known = confirmation.best.estimate
        interval = "" if known.low is None else f" [{known.low:.1f}, {known.high:.1f}]"
        tags["omad.confirmed_return"] = f"{known.point:.1f}{interval}"
    return tags


def as_document(confirmation: ConfirmationView) -> dict[str, Any]:
    """The confirmed figures as plain data."""
    return {
        "study": confirmation.study.name,
        "sentence": confirmation.sentence,
        "ended": confirmation.study.ended,
        "candidates": [candidate_document(candidate) for candidate in confirmation.candidates],
    }


def candidate_document(candidate: CandidateView) -> dict[str, Any]:
    """One candidate's figures as plain data."""
    return {
        "trial": candidate.trial,
        "best": candidate.best,
        "default": candidate.default,
        "values": {str(seed): candidate.values[seed] for seed in sorted(candidate.values)},
        "notes": {str(seed): note for seed, note in candidate.notes.items()},
        "interquartile_mean": candidate.estimate.point if candidate.estimate else None,
        "interval": interval_ends(candidate.estimate),
        "difference": candidate.difference.difference.point if candidate.difference else None,
        "difference_interval": interval_ends(candidate.difference.difference)
        if candidate.difference
        else None,
        "seeds_won": candidate.difference.won if candidate.difference else None,
        "better": candidate.difference.better if candidate.difference else None,
        "p_value": candidate.difference.p_value if candidate.difference else None,
        "p_value_corrected": candidate.p_corrected,
    }


def interval_ends(known: Estimate | None) -> list[float] | None:
    """Its ends; None where there are none."""
    return None if known is None or known.low is None or known.high is None else [known.low, known.high]
