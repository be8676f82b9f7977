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
    bits = _WINDOW_BITS[encoding]
    has_zlib_header = len(body) >= 2 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    if encoding == "deflate" and not has_zlib_header:
        bits = -zlib.MAX_WBITS  # some clients omit the header of zlib
    whole, left = b"", body
    while left or not whole:
        more, left = _member(left, encoding, bits, most - len(whole))
        whole += more
        if len(whole) > most:
            raise too_long(most)
        if encoding == "deflate" or not left:  # RFC 1952: gzip may have several members
            break
    if left:
        raise _not_encoded(encoding)
    return whole


def _member(body: bytes, encoding: str, bits: int, most: int) -> tuple[bytes, bytes]:
    """Return the first compressed part of a body, decompressed, and what comes after it."""
    inflater = zlib.decompressobj(bits)
    try:
        whole = inflater.decompress(body, most + 1)
    except zlib.error as error:
        raise _not_encoded(encoding) from error
    if not inflater.eof and len(whole) <= most:
        raise _not_encoded(encoding)
    return whole, inflater.unused_data


def _not_encoded(encoding: str) -> RefusedError:
    return bad_request(
        f"The body is not {encoding} from beginning to end, which its Content-Encoding names: send it whole, or "
        "without that header."
    )
