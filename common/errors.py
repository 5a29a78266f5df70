"""What stops a script: bad input, training that diverged, files that cannot be written."""

import errno

NOT_A_PATH = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EACCES, errno.EPERM)
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
NOT_WRITTEN = (errno.EROFS, errno.EIO, errno.ENOENT)


# Exit codes: something could not be written; Ctrl-C before the run began.
NOT_WRITTEN_CODE, STOPPED_CODE = 1, 130


class UsageError(Exception):
    """Bad input, said in one line that names the flag, the value and the way out."""

    exit_code = 2


class EnvironmentFault(UsageError):
    """What an environment raised or wrongly returned; says which one, in which call, and what.

    Args:
        message: the line.
        call: "reset", "step" or "render"; "" while it was made.
    """

    def __init__(self, message: str, call: str = "") -> None:
        super().__init__(message)
        self.call = call


class RunBroken(Exception):
    """An environment's fault in mid-training; says what is kept, and how to go on."""

    exit_code = 4


class Diverged(Exception):
    """A loss, gradient, action or observation is not finite; says which, of which seed, and when, and what is kept."""

    exit_code = 3


def one_line(text: object) -> str:
    """A message as one line: white space becomes blanks, what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(str(text).split()))
