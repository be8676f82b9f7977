"""A socket for a server of the kit, or one sentence where the address is taken."""

import os
import socket

from kit_common.errors import UserError


def listen(host: str, port: int, choose: str = "--port") -> socket.socket:
    """Return a socket that listens at an address.

    Args:
        host: a name or an address.
        port: 0 for any port that is free.
        choose: the options that name another address.

    Raises:
        UserError: the address can't be listened at.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # A name that can't be looked up has a number of its own kind, and says what it is itself.
        reason = str(error.strerror) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise UserError(
            f"The server can't listen at {in_url(host)}:{port} ({reason}): choose another {choose}."
        ) from error


def in_url(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
