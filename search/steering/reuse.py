"""Reuse: what another study found best, as a point of this one's space."""

from dataclasses import replace
from typing import Any

from omad_core import settings
from search.confirmation.pair import refuse_confirmation
from search.errors import StudyNotFound
from search.slots.studies import open_study
from search.storage.store import Store
from search.study.origin import Origin
from search.study.study_spec import StudySpec
from search.view import status


def reuse(store: Store, name: str, spec: StudySpec) -> tuple[StudySpec, dict[str, Any], list[str]]:
    """The spec with a note of the other study; its best configuration as parameters; settings that had to be left out.

    A setting is left out where this study does not search the value that was best there: it has its own default then.
    Raises StudyNotFound where the other study does not exist or has no complete trial, SpecConflict for a confirmation.
    """
    other = open_study(store, name)
    refuse_confirmation(other, "reused")
    best = status.read(store, other, recent=0).best
    if best is None:
        raise StudyNotFound(f"study {name!r} has no complete trial yet: there is nothing to reuse")
    theirs = StudySpec.from_json(other.spec)
    config = settings.replace(theirs.space.base(theirs.config, best.params), best.params)
    values = {path: settings.get(config, path) for path in spec.space.paths}
    params = spec.space.defaults(spec.config, values)
    taken = spec.space.settings(params)
    left_out = [path for path in best.params if path in taken and taken[path] != values[path]]
    return replace(spec, origin=replace(spec.origin or Origin(), reuse=name)), params, left_out
