"""The limit of open files: if it is too low, ZeroMQ aborts the process or a kernel never answers."""

import sys

from workshop.core.errors import WorkshopError

_WANTED = 4096
"""As JupyterLab sets it."""
_NEEDED = 256


def allow_open_files() -> None:
    """Raise the limit of open files of this process, and so of its kernels, as JupyterLab does.

    Raises:
        WorkshopError: the limit is too low, and only an administrator may raise it.
    """
    if sys.platform == "win32":
        return  # no such limit there
    import resource  # noqa: PLC0415  # not on Windows

    def allows(limit: int, files: int) -> bool:
        return limit == resource.RLIM_INFINITY or limit >= files

    limit, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not allows(limit, _WANTED):
        limit = _WANTED if allows(highest, _WANTED) else highest
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, highest))
    if not allows(limit, _NEEDED):
        raise WorkshopError(
            f"A process may open only {limit} files here, and a kernel needs {_NEEDED}: allow more with "
            f"`ulimit -n {_NEEDED}`, or in the limits of the service or container."
        )
