"""The timeline: what was taken over, and when nobody was at work."""

from search.history.attempts import Attempt
from search.reports.page.figures import timeline
from search.reports.page.view import Work


def work(number: int, token: int, owner: str, began: float, ended: float | None, end: str | None) -> Work:
    return Work(f"trial {number}", False, Attempt(number, token, owner, began, ended, end))


WORK = [
    work(0, 1, "a:1", 0.0, 100.0, "lost"),
    work(0, 2, "b:1", 500.0, 900.0, "complete"),
    work(1, 1, "b:1", 900.0, 1_000.0, "pruned"),
    work(2, 1, "b:1", 1_010.0, None, None),
]


def test_what_a_silent_worker_left_is_taken_over() -> None:
    assert timeline.taken_over(WORK) == [WORK[1]]


def test_a_gap_in_which_nobody_works_is_an_outage_and_a_short_one_is_not() -> None:
    assert timeline.outages(WORK) == [(100.0, 500.0)]
    assert timeline.outages([]) == []


def test_a_row_a_worker_and_a_bar_an_attempt() -> None:
    figure = timeline.draw(WORK)
    bars = {trace.name: trace for trace in figure.data if trace.type == "bar"}
    assert {name: len(trace.x) for name, trace in bars.items()} == {
        "fell silent": 1, "complete": 1, "pruned": 1, "at work": 1,
    }  # fmt: skip
    assert bars["complete"].x[0] == 400_000.0, "milliseconds"
    assert bars["complete"].base[0] == "1970-01-01 00:08:20.000"
    (mark,) = [trace for trace in figure.data if trace.name == "taken over"]
    assert mark.y == ("b:1",)
    assert len([shape for shape in figure.layout.shapes if shape.type == "rect"]) == 1


def test_names_of_workers_are_text() -> None:
    drawn = timeline.draw([work(0, 1, "<b>x</b>", 0.0, 1.0, "complete")])
    assert drawn.data[0].y == ("&lt;b&gt;x&lt;/b&gt;",)


def test_long_names_of_machines_leave_room_for_the_bars() -> None:
    names = [f"ip-10-0-0-{n}.eu-central-1.compute.internal:3169{n}" for n in (1, 2)]
    drawn = timeline.draw([work(n, 1, name, 0.0, 1.0, "complete") for n, name in enumerate(names)])
    assert set(drawn.layout.yaxis.ticktext) == {"ip-10-0-0-1.…nal:31691", "ip-10-0-0-2.…nal:31692"}
    assert len({trace_y for trace in drawn.data for trace_y in trace.y}) == 2
