"""The local curve survives kills and full disks, and knows what was sent."""

import json
import math
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tracking.errors import TrackingError
from tracking.row import Row
from tracking.spool import curve_format
from tracking.spool.spool import Spool


def row(step: int, value: float = 0.5) -> Row:
    return Row(step=step, time_ms=1_700_000_000_000 + step, metrics={"eval/return_mean": value})


def rows(*steps: int) -> list[Row]:
    return [row(step) for step in steps]


def test_rows_come_back_in_order_and_exactly(tmp_path: Path) -> None:
    written = [row(10, 0.1 + 0.2), row(10, -1e-300), row(20, 1e300)]
    spool = Spool(tmp_path / "trial 3")
    spool.append(written[:1])
    spool.append(written[1:])
    assert spool.rows() == written
    assert Spool(tmp_path / "trial 3").rows(after=1) == written[1:]
    assert spool.rows(after=1, limit=1) == [written[1]]
    assert spool.rows(after=9) == []


def test_nan_and_infinities_are_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([Row(1, 2, {"a": math.nan, "b": math.inf, "c": -math.inf})])
    (kept,) = spool.rows()
    assert math.isnan(kept.metrics["a"])
    assert (kept.metrics["b"], kept.metrics["c"]) == (math.inf, -math.inf)


def test_a_folder_without_a_curve_is_an_empty_curve(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "new")
    assert (spool.rows(), spool.count(), spool.sent, spool.dump()) == ([], 0, 0, b"")


@pytest.mark.parametrize("torn", [b'{"step":3,"time_ms":4,"met', b'{"step":3}', b"\0" * 512])
def test_a_torn_last_line_is_unseen_by_readers_and_cut_by_the_next_writer(
    tmp_path: Path, torn: bytes
) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1, 2))
    with spool.path.open("ab") as stream:
        stream.write(torn)
    successor = Spool(tmp_path)
    assert successor.rows() == rows(1, 2)
    assert successor.dump().count(b"\n") == 2
    successor.append(rows(3))
    assert Spool(tmp_path).rows() == rows(1, 2, 3)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense",
        b"\x00\xff",
        b"[]",
        b'{"step":1,"time_ms":1,"metrics":3}',
        b'{"step":1e999,"time_ms":1,"metrics":{}}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1))
    with spool.path.open("ab") as stream:
        stream.write(line + b"\n")
    with pytest.raises(TrackingError, match=r"Line 2 of the curve .*curve\.jsonl is damaged"):
        spool.rows()


def test_another_reader_sees_rows_as_they_are_written(tmp_path: Path) -> None:
    writer, reader = Spool(tmp_path), Spool(tmp_path)
    writer.append(rows(1))
    assert reader.rows() == rows(1)
    writer.append(rows(2))
    assert reader.rows(after=1) == rows(2)
    writer.replace(b"".join(map(curve_format.encode, rows(1))))
    assert reader.rows() == rows(1)


def test_the_curve_travels_as_bytes(tmp_path: Path) -> None:
    here, there = Spool(tmp_path / "here"), Spool(tmp_path / "there")
    here.append(rows(1, 2, 3))
    there.append([row(1, 9.0)])
    there.replace(here.dump())
    assert there.rows() == rows(1, 2, 3)
    assert there.sent == 0


def test_a_foreign_curve_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1))
    for content in (b"no curve\n", b'{"step":1,"time_ms":2,"metrics":{}}', json.dumps([1]).encode() + b"\n"):
        with pytest.raises(TrackingError, match="in the checkpoint is damaged"):
            spool.replace(content)
    assert spool.rows() == rows(1)


def test_the_sent_mark_is_remembered_and_respects_the_step(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1, 2, 3, 4))
    unsent = spool.unsent(up_to_step=3, limit=2)
    assert unsent.rows == rows(1, 2)
    spool.mark_sent(unsent)
    successor = Spool(tmp_path)
    assert successor.sent == 2
    assert successor.unsent(up_to_step=3, limit=10).rows == rows(3)


def test_a_damaged_mark_means_that_nothing_was_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1))
    (tmp_path / "curve.sent").write_text("")
    assert spool.unsent(up_to_step=9, limit=9).rows == rows(1)


def test_rows_measured_anew_after_a_replacement_are_never_taken_for_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1, 2, 3))
    in_flight = spool.unsent(up_to_step=3, limit=9)
    spool.replace(b"".join(map(curve_format.encode, rows(1))))
    spool.append(rows(2, 3))
    spool.mark_sent(in_flight)
    assert spool.unsent(up_to_step=3, limit=9).rows == rows(1, 2, 3)


def test_replacing_by_a_curve_that_begins_alike_keeps_what_was_sent(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1, 2))
    checkpoint = spool.dump()
    spool.append(rows(3))
    spool.mark_sent(spool.unsent(up_to_step=2, limit=9))
    spool.replace(checkpoint)
    assert (spool.count(), spool.sent) == (2, 2)
    spool.replace(checkpoint.replace(b"0.5", b"0.7"))
    assert spool.sent == 0


def test_a_checkpoint_can_tell_how_much_of_its_curve_was_sent(tmp_path: Path) -> None:
    origin, successor = Spool(tmp_path / "a"), Spool(tmp_path / "b")
    origin.append(rows(1, 2, 3))
    successor.replace(origin.dump(), sent=2)
    assert successor.unsent(up_to_step=3, limit=9).rows == rows(3)
    successor.replace(origin.dump(), sent=99)
    assert successor.sent == 3


def test_one_thread_writes_while_another_sends(tmp_path: Path) -> None:
    spool, total = Spool(tmp_path), 300
    writer = threading.Thread(target=lambda: [spool.append(rows(step)) for step in range(total)])
    writer.start()
    got: list[Row] = []
    while len(got) < total:
        unsent = spool.unsent(up_to_step=total, limit=50)
        got += unsent.rows
        spool.mark_sent(unsent)
    writer.join()
    assert got == rows(*range(total))


@pytest.mark.parametrize(
    "change",
    [
        lambda spool: spool.append(rows(2)),
        lambda spool: spool.replace(b""),
        lambda spool: spool.mark_sent(spool.unsent(9, 9)),
    ],
)
def test_a_place_that_cannot_be_written_gives_a_sentence(
    tmp_path: Path, change: Callable[[Spool], None]
) -> None:
    spool = Spool(tmp_path / "trial")
    spool.append(rows(1))
    spool.path.rename(tmp_path / "away")
    (tmp_path / "trial").rmdir()
    (tmp_path / "trial").write_text("a file where the folder was")
    with pytest.raises(TrackingError, match=r"The curve .*cannot be (written|read)"):
        change(spool)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow past this size meanwhile: the end of a disk, felt by one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_gives_a_sentence_and_the_curve_goes_on_when_there_is_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append(rows(1))
    with (
        largest_file(spool.path.stat().st_size + 20),
        pytest.raises(TrackingError, match=r"cannot be written to .*File too large.*Free space"),
    ):
        spool.append(rows(2))
    assert spool.path.read_bytes()[-1:] != b"\n", "the failed write was to leave half a line"
    assert spool.rows() == rows(1)
    spool.append(rows(2))
    assert spool.rows() == Spool(tmp_path).rows() == rows(1, 2)
