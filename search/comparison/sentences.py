"""Sentences: what a comparison shows, and what it does not."""

from search.comparison.view import AlgorithmView, ComparisonView, SettingView
from search.view.confirmation import signed
from search.view.wording import count


def shown(comparison: ComparisonView) -> str:
    """What may be said of the tuned algorithms, in one sentence for each; before the end, what is missing."""
    if missing := [
        _missing(algorithm)
        for algorithm in comparison.algorithms
        if algorithm.tuned is None or not _whole(algorithm.tuned)
    ]:
        return f"Nothing can be said yet: {'; '.join(missing)}."
    first = comparison.algorithms[0].name
    others = [algorithm.tuned for algorithm in comparison.algorithms[1:] if algorithm.tuned is not None]
    return f"{_conditions(comparison)}: {'; '.join(versus(each, first) for each in others)}."


def not_shown(comparison: ComparisonView) -> str:
    """What nobody may conclude from it."""
    parts = ["that settings without a shown difference are equal"] if _undecided(comparison) else []
    parts.append(
        f"anything about trainings of more than {count(comparison.env_steps, 'step')}, other tasks or larger searches"
    )
    sentence = f"Not shown: {', nor '.join(parts)}."
    budgets = {algorithm.name: len(algorithm.search.trials) for algorithm in comparison.algorithms}
    if len(set(budgets.values())) > 1:
        trials = ", ".join(f"{name} {count(number, 'trial')}" for name, number in budgets.items())
        sentence += f" The searches had different budgets ({trials}), so the algorithms were not tuned alike."
    return sentence


def versus(setting: SettingView, first: str) -> str:
    """Such as `hasac is better than omad on 5 of 5 seeds: +120 [+40, +200], p .004`."""
    paired = setting.versus
    if paired is None:
        return f"{setting.algorithm} and {first} have no held-out seeds in common that ended"
    known = paired.difference
    if known.low is None or known.high is None:
        return f"no difference between {setting.algorithm} and {first} can be shown; {known.why}"
    scale = max(abs(known.low), abs(known.high))
    figures = f"{signed(known.point, scale)} [{signed(known.low, scale)}, {signed(known.high, scale)}]"
    p = "" if setting.p_corrected is None else f", p {probability(setting.p_corrected)}"
    if not setting.differs:
        return f"no difference between {setting.algorithm} and {first} is shown: {figures}{p}"
    won = paired.won if paired.better else sum(value < 0.0 for value in known.values)
    which = "better" if paired.better else "worse"
    return (
        f"{setting.algorithm} is {which} than {first} on {won} of {count(paired.seeds, 'seed')}: {figures}{p}"
    )


def share(value: float) -> str:
    """A share of pairs with two digits; none and all of them are whole numbers."""
    return f"{value:.0f}" if value in (0.0, 1.0) else f"{value:.2f}".removeprefix("0")


def probability(value: float) -> str:
    """With two digits and no zero before the point, as p-values are written."""
    if value < 0.001:
        return "< .001"
    return f"{value:.2g}".removeprefix("0") if value < 0.1 else f"{value:.2f}".removeprefix("0")


def _conditions(comparison: ComparisonView) -> str:
    trials, steps = count(comparison.trials, "trial"), count(comparison.env_steps, "step")
    seeds = count(len(comparison.seeds), "held-out seed")
    return f"On {comparison.task}, each tuned with {trials} of {steps} and then trained with {seeds}"


def _whole(setting: SettingView) -> bool:
    return setting.candidate.estimate is not None


def _undecided(comparison: ComparisonView) -> bool:
    return any(
        algorithm.tuned is not None and not algorithm.tuned.differs for algorithm in comparison.algorithms[1:]
    )


def _missing(algorithm: AlgorithmView) -> str:
    """Why nothing can be said of an algorithm."""
    ended = sum(trial.ended for trial in algorithm.search.trials)
    if ended < len(algorithm.search.trials):
        return f"{algorithm.name} has ended {ended} of {count(len(algorithm.search.trials), 'trial')}"
    if algorithm.search.best is None:
        return f"no trial of {algorithm.name} completed, and `omad-search status {algorithm.search.name}` says why"
    if algorithm.confirmation is None:
        return f"the best of {algorithm.name} is not trained again yet"
    return f"{algorithm.name}: {algorithm.confirmation.sentence}"
