"""What a study found, as its report shows it."""

from dataclasses import dataclass

from omad_core.results.statistics import Summary
from search.view.confirmation import ConfirmationView
from search.view.views import StudyView


@dataclass(frozen=True)
class ReportView:
    """The confirmed figures, and the search's own policies beside random play, on the same fresh episodes."""

    study: StudyView
    best: Summary | None = None
    default: Summary | None = None
    random: Summary | None = None
    confirmation: ConfirmationView | None = None
    """None of a study that wished for none, or in which no trial completed."""
