"""Errors whose text is written for users."""

import errno
from typing import ClassVar

from kit_common.sanitize import first_sentence


class UserError(Exception):
    """An error that a user can fix; its text is one sentence: what is wrong and what to do.

    IPython shows the sentence instead of a traceback, in Jupyter and in executed notebooks.
    """

    exit_code: ClassVar[int] = 1
    """Exit code of a command that ends with this error."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class UsageError(UserError):
    """A mistake in the command line."""

    exit_code = 2


_NO_PERMISSION = "no permission: {choose}"
_IS_A_FILE = "a file is where a folder is needed: {choose}"
_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, then run it again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run it again",
    errno.EACCES: _NO_PERMISSION,
    errno.EPERM: _NO_PERMISSION,
    errno.EROFS: "the file system is read-only: {choose}",
    errno.ENOENT: "the folder does not exist and cannot be created: {choose}",
    errno.ENOTDIR: _IS_A_FILE,
    errno.EEXIST: _IS_A_FILE,
}


def describe_os_error(error: OSError, home_variable: str) -> str:
    """Return one sentence: what the operating system refused, and what to do about it.

    Args:
        error: the refusal.
        home_variable: the environment variable that names the folder for all files.
    """
    if "No usable temporary directory" in str(error):  # raised by tempfile, with a general number
        return "No folder for temporary files is writable: set TMPDIR to one that you may write to."
    place = f" at {error.filename}" if error.filename else ""
    choose = f"choose a folder that you may write to with {home_variable}=/path/to/folder"
    advice = _ADVICE.get(error.errno or 0, "").format(choose=choose) or error.strerror or first_sentence(error)
    return f"Cannot write or read{place}: {advice}."
