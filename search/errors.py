"""What can go wrong with a search, ordered by what a caller can do about it."""


class SearchError(Exception):
    """Something a person can read and act on; its text says what, where and what to try."""


class StorageUnavailable(SearchError):
    """The database cannot be reached or is too busy now; the same call may succeed later."""


class StorageRefused(SearchError):
    """This storage cannot be used as it is; repeating the call changes nothing."""


class StorageEmpty(StorageRefused):
    """There is nothing of omad-search in this storage yet; whoever may create a study makes it."""


class StudyNotFound(SearchError):
    """No such study in this storage."""


class SpecConflict(SearchError):
    """What is asked for contradicts what the study was created with."""


class LeaseLost(SearchError):
    """The slot is no longer this worker's: drop its trial and claim another."""


class TrialTaken(SearchError):
    """The trial is bound to another slot already; choose another one."""


class TrialEnded(SearchError):
    """The trial was ended by somebody else; its slot has taken that result. Claim another."""


class Duplicate(SearchError):
    """A row with this key exists already; whoever expects that reads it and goes on."""


class CannotDraw(SearchError):
    """This machine cannot draw this task; everything else goes on."""


class ExportRefused(SearchError):
    """A policy cannot be written there, or not in that form."""
