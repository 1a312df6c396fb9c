"""Sentences: what a comparison shows, and what it does not."""

from search.comparison.view import AlgorithmView, ComparisonView, SettingView
from search.view.confirmation import signed
from search.view.wording import count


def shown(seen: ComparisonView) -> str:
    """What may be said of the tuned algorithms, in one sentence for each; before the end, what is missing."""
    if missing := [
        _missing(each) for each in seen.algorithms if each.tuned is None or not _whole(each.tuned)
    ]:
        return f"Nothing can be said yet: {'; '.join(missing)}."
    first = seen.algorithms[0].name
    others = [each.tuned for each in seen.algorithms[1:] if each.tuned is not None]
    return f"{_conditions(seen)}: {'; '.join(versus(each, first) for each in others)}."


def not_shown(seen: ComparisonView) -> str:
    """What nobody may conclude from it."""
    parts = ["that settings without a shown difference are equal"] if _undecided(seen) else []
    parts.append(
        f"anything about trainings of more than {count(seen.env_steps, 'step')}, other tasks or larger searches"
    )
    sentence = f"Not shown: {', nor '.join(parts)}."
    budgets = {each.name: len(each.search.trials) for each in seen.algorithms}
    if len(set(budgets.values())) > 1:
        trials = ", ".join(f"{name} {count(number, 'trial')}" for name, number in budgets.items())
        sentence += f" The searches had different budgets ({trials}), so the algorithms were not tuned alike."
    return sentence


def versus(each: SettingView, first: str) -> str:
    """Such as `hasac is better than omad on 5 of 5 seeds: +120 [+40, +200], p .004`."""
    found = each.versus
    if found is None:
        return f"{each.algorithm} and {first} have no held-out seeds in common that ended"
    known = found.difference
    if known.low is None or known.high is None:
        return f"no difference between {each.algorithm} and {first} can be shown; {known.why}"
    scale = max(abs(known.low), abs(known.high))
    figures = f"{signed(known.point, scale)} [{signed(known.low, scale)}, {signed(known.high, scale)}]"
    p = "" if each.p_corrected is None else f", p {probability(each.p_corrected)}"
    if not each.differs:
        return f"no difference between {each.algorithm} and {first} is shown: {figures}{p}"
    won = found.won if found.better else sum(value < 0.0 for value in known.values)
    which = "better" if found.better else "worse"
    return f"{each.algorithm} is {which} than {first} on {won} of {count(found.seeds, 'seed')}: {figures}{p}"


def probability(value: float) -> str:
    """With two digits and no zero before the point, as p-values and shares are written."""
    if value < 0.001:
        return "< .001"
    return f"{value:.2g}".removeprefix("0") if value < 0.1 else f"{value:.2f}".removeprefix("0")


def _conditions(seen: ComparisonView) -> str:
    trials, steps = count(seen.trials, "trial"), count(seen.env_steps, "step")
    seeds = count(len(seen.seeds), "held-out seed")
    return f"On {seen.task}, each tuned with {trials} of {steps} and then trained with {seeds}"


def _whole(each: SettingView) -> bool:
    return each.candidate.estimate is not None


def _undecided(seen: ComparisonView) -> bool:
    return any(each.tuned is not None and not each.tuned.differs for each in seen.algorithms[1:])


def _missing(each: AlgorithmView) -> str:
    """Why nothing can be said of an algorithm."""
    ended = sum(trial.ended for trial in each.search.trials)
    if ended < len(each.search.trials):
        return f"{each.name} has ended {ended} of {count(len(each.search.trials), 'trial')}"
    if each.search.best is None:
        return f"no trial of {each.name} completed, and `omad-search status {each.search.name}` says why"
    if each.confirmation is None:
        return f"the best of {each.name} is not trained again yet"
    return f"{each.name}: {each.confirmation.sentence}"
