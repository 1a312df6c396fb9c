"""A page of thousands of trials is small; `OMAD_TRIALS=200 pytest -m slow -s` on this file says how small."""

import os
import random
import time
from pathlib import Path

import pytest
from page_studies import confirm, new_study
from sqlalchemy import insert, update

from search.bench.large_study import fill
from search.reports.page import builder
from search.storage.store import open_storage
from search.storage.tables import AttemptRow, Slot

TRIALS = int(os.environ.get("OMAD_TRIALS", "2000"))
MOST_BYTES = 8_000_000
LARGEST_FILM = 2_000_000


@pytest.mark.slow
def test_a_page_of_many_trials_is_small(tmp_path: Path) -> None:
    draw, page = random.Random(0), tmp_path / "page.html"
    with open_storage(f"sqlite:///{tmp_path}/omad.db", create=True) as store:
        handle = new_study(store, "many", TRIALS)
        fill(store, handle, TRIALS)
        with store.write() as connection:
            for number in range(TRIALS):
                ended = {
                    "value": draw.gauss(500.0, 200.0),
                    "outcome": draw.choice(["complete", "complete", "pruned"]),
                }
                here = Slot.study_id == handle.study_id, Slot.number == number
                connection.execute(update(Slot.__table__).where(*here).values(**ended))  # type: ignore[arg-type]
                times = {
                    "began_at": 60.0 * number,
                    "ended_at": 60.0 * number + 900.0,
                    "end": ended["outcome"],
                }
                owner = {
                    "study_id": handle.study_id,
                    "number": number,
                    "token": 1,
                    "owner": f"host:{number % 16}",
                }
                connection.execute(insert(AttemptRow).values(**owner, **times))
        confirm(store, handle, [900.0, 310.0, 870.0, 290.0, 940.0, 350.0])
        began, worked = time.monotonic(), time.process_time()
        made = builder.make(store, handle, None)
        page.write_text(made.html)
    took, work = time.monotonic() - began, time.process_time() - worked
    size = page.stat().st_size
    print(f"\n{TRIALS} trials: {size / 1e6:.1f} MB, {took:.1f} s ({work:.1f} s of a core)")
    if kept := os.environ.get("OMAD_KEEP"):
        Path(kept).write_text(made.html)
    assert size + LARGEST_FILM < MOST_BYTES
    assert len(made.document["attempts"]) == TRIALS + 6
