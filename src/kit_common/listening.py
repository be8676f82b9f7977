"""Listening sockets for the kit's servers."""

import os
import socket

from kit_common.errors import UserError


def listen(host: str, port: int, choose: str = "--port") -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: a name or an address.
        port: 0 for any free port.
        choose: the options that set the address, for the error.

    Raises:
        UserError: the address is taken, not allowed or unknown.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # Name resolution has other error numbers than the operating system.
        reason = str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise UserError(
            f"The server can't listen at {in_url(host)}:{port} ({reason}): choose another {choose}."
        ) from error


def in_url(host: str) -> str:
    """Return a host for a URL: an IPv6 address gets brackets."""
    return f"[{host}]" if ":" in host else host
