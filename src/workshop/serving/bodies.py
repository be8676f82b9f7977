"""Bodies of requests: decompression, up to the allowed size."""

import zlib
from collections.abc import Iterable

from workshop.serving.answers import RefusedError, bad_request

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


def encoding_of(headers: Iterable[str]) -> str:
    """Return the one content encoding of a request, in lower case; empty for none.

    Args:
        headers: the values of all its content-encoding headers.

    Raises:
        RefusedError: the encoding is not supported, or there are several (415).
    """
    names = [name.strip().lower() for header in headers for name in header.split(",")]
    applied = [name for name in names if name not in ("", "identity")]
    if len(applied) > 1 or not _WINDOW_BITS.keys() >= {*applied}:
        raise RefusedError(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            f"The Content-Encoding {', '.join(applied)[:100]!r} can't be read: send gzip, deflate or no encoding.",
        )
    return applied[0] if applied else ""


def too_long(most: int) -> RefusedError:
    """Return the refusal of a body with too many bytes, compressed or decompressed (413)."""
    return RefusedError(413, "REQUEST_TOO_LARGE", f"The body is larger than {most:,} bytes: send fewer rows at a time.")


def decoded(body: bytes, encoding: str, most: int) -> bytes:
    """Return the decoded body; at most one byte more than allowed is decompressed.

    Raises:
        RefusedError: the body is not in that encoding or not complete (400), or too large (413).
    """
    if not encoding:
        return body
    wrong = bad_request(
        f"The body is not valid {encoding}, the encoding in its Content-Encoding: send it whole, or without "
        "that header."
    )
    has_zlib_header = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    # Some clients omit the header of zlib.
    bits = -zlib.MAX_WBITS if encoding == "deflate" and not has_zlib_header else _WINDOW_BITS[encoding]
    whole, left = b"", body
    while True:
        inflater = zlib.decompressobj(bits)
        try:
            whole += inflater.decompress(left, most - len(whole) + 1)
        except zlib.error as error:
            raise wrong from error
        if len(whole) > most:
            raise too_long(most)
        left = inflater.unused_data
        if not inflater.eof or (left and encoding == "deflate"):  # RFC 1952: only gzip may have several members
            raise wrong
        if not left:
            return whole
