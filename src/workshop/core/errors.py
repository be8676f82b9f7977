"""The one error that a person is meant to read."""

import errno
import re


class WorkshopError(Exception):
    """Something that a person can put right; its text is one sentence that says what is wrong and what to do.

    IPython shows that sentence instead of a traceback, in Jupyter as in an executed notebook.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


_LONGEST_QUOTE = 300
_CHOOSE = "choose a folder that you may write to with WORKSHOP_HOME=/path/to/folder"
_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, then run it again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run it again",
    errno.EACCES: f"no permission: {_CHOOSE}",
    errno.EPERM: f"no permission: {_CHOOSE}",
    errno.EROFS: f"the file system is read-only: {_CHOOSE}",
    errno.ENOENT: f"there is no such place, and it can't be made: {_CHOOSE}",
    errno.ENOTDIR: f"a file stands where a folder is needed: {_CHOOSE}",
    errno.EEXIST: f"a file stands where a folder is needed: {_CHOOSE}",
}


def first_sentence(error: BaseException) -> str:
    """What another library's error says, cut down to what fits into a sentence of ours."""
    said = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    first = re.split(r"(?<=\w)[.:] (?:Detail|Detailed message|Traceback)\b", said)[0]
    return (first if len(first) <= _LONGEST_QUOTE else f"{first[:_LONGEST_QUOTE]} …").rstrip(" .")


def explain_os_error(error: OSError) -> WorkshopError:
    """Say in one sentence what the operating system refused and what to do about it."""
    place = f" at {error.filename}" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}")
    return WorkshopError(f"Cannot write or read{place}: {advice}.")
