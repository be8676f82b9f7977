"""Lists of sha256 digests in the formats of several tools."""

import codecs
import re
from pathlib import Path

from workshop.core.errors import WorkshopError, explain_os_error

_DIGEST = "[0-9a-fA-F]{64}"
_DIGEST_LINE = re.compile(
    rf"SHA2?-?256 ?\((?P<tagged>.+)\) ?= ?(?P<of_tagged>{_DIGEST})|(?P<digest>{_DIGEST})\s+(?P<name>.+)"
)


def expected_digests(sums: Path) -> dict[str, str]:
    """Return the digest of each file that a list contains, in the forms of sha256sum, BSD, OpenSSL and PowerShell."""
    make_it = "make it with `sha256sum *.csv > SHA256SUMS` in the folder of the CSV files"
    try:
        content = sums.read_bytes()
    except FileNotFoundError as error:
        raise WorkshopError(f"{sums} is missing: {make_it}.") from error
    except OSError as error:
        raise explain_os_error(error) from error
    try:  # PowerShell 5 redirects into UTF-16
        text = content.decode(
            "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
        )
    except UnicodeDecodeError as error:
        raise WorkshopError(f"{sums} is not a text file: {make_it}.") from error
    entries = [_DIGEST_LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if None in entries:
        raise WorkshopError(f"{sums} is not a list of digests: {make_it}.")
    return {_file_name(e["name"] or e["tagged"]): (e["digest"] or e["of_tagged"]).lower() for e in entries if e}


def _file_name(written: str) -> str:
    return written.strip().removeprefix("*").replace("\\", "/").removeprefix("./")
