"""The folder of a kernel's sockets, whose addresses may have about a hundred bytes."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workshop.core.errors import WorkshopError

PREFIX = "workshop-kernel-"
_LONGEST_SOCKET = f"{PREFIX}12345678/socket-65535"
_BYTES_IN_AN_ADDRESS = 103


@contextmanager
def room_for_sockets() -> Iterator[None]:
    """Create temporary folders in /tmp in the block if TMPDIR is too long for the address of a socket.

    This applies to a kernel's sockets and to that of the fork server.
    """
    usual, before = tempfile.gettempdir(), tempfile.tempdir
    fits = sys.platform == "win32" or len(os.fsencode(Path(usual, _LONGEST_SOCKET))) <= _BYTES_IN_AN_ADDRESS
    tempfile.tempdir = before if fits else "/tmp"
    try:
        yield
    except OSError as error:
        problem = "is not writable" if fits else "is too long for the address of a socket, and /tmp is not writable"
        raise WorkshopError(f"The temporary folder {usual} {problem}: set TMPDIR to a short path.") from error
    finally:
        tempfile.tempdir = before
