"""What can go wrong with tracking, ordered by what a caller can do about it."""


class TrackingError(Exception):
    """Something a person can read and act on."""


class TrackingUnavailable(TrackingError):
    """The tracking server cannot be reached now; the same call may succeed later."""


class TrackingRefused(TrackingError):
    """The tracking server answered and will not accept this; repeating it changes nothing."""


class ArtifactMissing(TrackingError):
    """No such artifact."""
