"""What can go wrong with tracking, ordered by what a caller can do about it."""


class TrackingError(Exception):
    """Something a person can read and act on."""


class TrackingUnavailable(TrackingError):
    """The tracking server cannot be reached now; the same call may succeed later."""


class TrackingRefused(TrackingError):
    """The tracking server answered and will not accept this; repeating it changes nothing."""


class TrackingAddressRefused(TrackingRefused):
    """The address names no tracking store that can be used; correct it where it was written."""


class RunDeleted(TrackingRefused):
    """The run was deleted in MLflow; what belongs to it needs a new run."""


class ArtifactMissing(TrackingError):
    """No such artifact."""
