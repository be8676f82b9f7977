"""The one error that a person is meant to read."""

import errno


class WorkshopError(Exception):
    """Something that a person can put right; its text is one sentence that says what is wrong and what to do.

    IPython shows that sentence instead of a traceback, in Jupyter as in an executed notebook.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, then run it again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run it again",
    errno.EACCES: "no permission: choose a folder that you may write to with WORKSHOP_HOME=/path/to/folder",
    errno.EPERM: "no permission: choose a folder that you may write to with WORKSHOP_HOME=/path/to/folder",
    errno.EROFS: "the file system is read-only: choose another folder with WORKSHOP_HOME=/path/to/folder",
    errno.ENOTDIR: "a file stands where a folder is needed: choose another folder with WORKSHOP_HOME=/path/to/folder",
    errno.EEXIST: "a file stands where a folder is needed: choose another folder with WORKSHOP_HOME=/path/to/folder",
}


def explain_os_error(error: OSError) -> WorkshopError:
    """Say in one sentence what the operating system refused and what to do about it."""
    place = f" at {error.filename}" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, f"{error.strerror or error}")
    return WorkshopError(f"Cannot write or read{place}: {advice}.")
