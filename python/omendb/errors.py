"""What can go wrong, one class for each thing to do about it."""


class OmenDBError(Exception):
    """The base of all errors of this package.

    `code` is the number of the error in `omendb.h`, or 0 where it was found in Python.
    `retry_after` is after how many seconds it is worth while to try again, where the database is
    only overloaded and can tell; else None. Of a write that failed, `records_written` says how many
    of its records are there: the first ones.
    """

    code: int
    retry_after: float | None
    records_written: int = 0

    def __init__(self, message: str, code: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class ValidationError(OmenDBError, ValueError):
    """The call is wrong: fix it. Nothing was changed."""


class DatabaseError(OmenDBError):
    """The database cannot do it: no memory or disk space, or the system refused."""


class Locked(DatabaseError):
    """Another process has the files open; the message names it."""


class Unavailable(DatabaseError):
    """Closed, or a cluster that does not answer now: try again later."""


class Corrupt(DatabaseError):
    """Stored bytes are damaged."""


class Stopped(DatabaseError):
    """A call ended early because its task was cancelled."""


_CLASSES: dict[int, type[OmenDBError]] = {
    1: ValidationError,
    2: ValidationError,
    3: ValidationError,
    4: Unavailable,
    5: Unavailable,
    7: Corrupt,
    8: Locked,
    100: Stopped,
}
NOT_FOUND = 2
STOPPED = 100


def error_of(code: int, message: str, retry_after_ms: int = 0) -> OmenDBError:
    """The error that a function of the library told."""
    retry_after = retry_after_ms / 1000 if retry_after_ms else None
    return _CLASSES.get(code, DatabaseError)(message, code, retry_after)
