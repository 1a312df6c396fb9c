"""The readable report."""

from omad_core.results.statistics import Summary
from search.reports.markdown import markdown
from search.view.report_view import ReportView
from search.view.views import StudyView, TrialView


def test_the_report_compares_best_defaults_and_random_play() -> None:
    best = TrialView(3, "complete", {"gamma": 0.97}, 1_000, 1_000, score=41.04)
    default = TrialView(0, "complete", {"gamma": 0.99}, 1_000, 1_000, score=12.0)
    pruned = TrialView(1, "pruned", {}, 300, 1_000, note="pruned at step 300")
    study = StudyView("study", "hopper", "laptop", "", "", trials=[default, pruned, best], default_number=0)
    text = markdown(
        ReportView(study, Summary(40.0, 40.0, 35.5, 44.25, 50), None, Summary(18.0, 18.0, 15.0, 21.0, 50))
    )
    lines = text.splitlines()
    assert "3 trials of task `hopper`: 2 complete, 1 pruned." in lines
    assert "| best, trial 3 | 40.0 | 35.5 to 44.2 | 50 | 41.0 |" in lines
    assert "| defaults, trial 0 | - |  |  | 12.0 |" in lines
    assert "| random play | 18.0 | 15.0 to 21.0 | 50 |  |" in lines
    assert "| `gamma` | 0.97 | 0.99 |" in lines
    assert [line.split(" | ")[0] for line in lines[-3:]] == ["| 3", "| 0", "| 1"]


def test_a_study_without_a_complete_trial_says_so() -> None:
    study = StudyView("study", "hopper", "laptop", "", "", trials=[TrialView(0, "failed", note="no")])
    assert "No trial completed" in markdown(ReportView(study))
