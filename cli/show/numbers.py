"""Numbers as people read them."""

from search.view.wording import count as count
from search.view.wording import duration as duration
from search.view.wording import score as score
from search.view.wording import value as value


def rate(number: float | None) -> str:
    """Something a second."""
    if number is None:
        return "-"
    return f"{number:.1f}" if 0 < number < 10 else f"{number:,.0f}"


def remaining(seconds: float | None) -> str:
    """How much longer it takes, as roughly as it is known."""
    if seconds is None:
        return "time left not known yet"
    if seconds < 60:
        return f"about {max(5, round(seconds / 5) * 5):.0f} s left" if seconds > 0 else "no time left"
    if seconds < 3_600:
        return f"about {seconds / 60:.0f} min left"
    return (
        f"about {seconds / 3_600:.1f} h left" if seconds < 86_400 else f"about {seconds / 86_400:.1f} d left"
    )
