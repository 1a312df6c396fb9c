"""What can go wrong with a search, ordered by what a caller can do about it."""


class SearchError(Exception):
    """Something a person can read and act on; its text says what, where and what to try."""


class StorageUnavailable(SearchError):
    """The database cannot be reached or is too busy now; the same call may succeed later."""


class StorageRefused(SearchError):
    """This storage cannot be used as it is; repeating the call changes nothing."""


class AddressRefused(StorageRefused):
    """The address names no storage that can be used; correct it where it was written."""


class StorageEmpty(StorageRefused):
    """There is nothing of omad-search in this storage yet; a command that creates a study creates its tables."""


class StudyNotFound(SearchError):
    """No such study in this storage."""


class StudyDeleted(StudyNotFound):
    """The study was deleted from its storage while it was worked at."""


class SpecConflict(SearchError):
    """What is asked for contradicts what the study was created with."""


class LeaseLost(SearchError):
    """The slot is no longer this worker's: drop its trial and claim another."""


class TrialTaken(SearchError):
    """The trial is bound to another slot already; choose another one."""


class TrialEnded(SearchError):
    """The trial was ended by another program; its slot has taken that result. Claim another."""


class UnfitMachine(SearchError):
    """This machine cannot train now: its disk, memory or device failed. Trials are left to other machines."""


class Duplicate(SearchError):
    """A row with this key exists already; a caller that expects this reads it and continues."""


class CannotDraw(SearchError):
    """This machine cannot render this task; everything else continues."""


class ExportRefused(SearchError):
    """A policy cannot be written there, or not in that form."""
