"""Sanitizing of foreign text for terminals, pages, logs and the kit's own sentences."""

import re

LONGEST_QUOTE = 300
"""Maximal length of a quotation in a sentence of the kit."""
# ECMA-48: control sequences; strings for the terminal, such as its title, which end with ST or BEL; other escapes.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters, bidirectional marks and overrides, zero-width characters, tags and noncharacters.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    r"\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Databricks' tokens and client secrets, and all signed tokens.
_TOKENS = re.compile(
    r"\bdapi[0-9a-f]{16,}(-\d+)?|\bdose[0-9a-f]{16,}|\beyJ[\w-]+(\.[\w-]+){0,2}|(?<=Bearer )[\w.~+/=-]+"
)
_LOGGING_COMMAND = re.compile(r"#(?=#(?:vso)?\[)", re.IGNORECASE)


def visible(text: str) -> str:
    """Remove escape sequences, control, bidirectional and zero-width characters; lines and tabs stay.

    Surrogates, which can't be written, become the replacement character.
    """
    lines = [_INVISIBLE.sub("", _ESCAPES.sub("", line)) for line in text.split("\n")]
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


def printable(text: str) -> str:
    r"""Return the `visible` text with line ends as \n, tabs as spaces, and logging commands disarmed.

    An agent of Azure Pipelines executes a logging command anywhere in a line of output.
    """
    return _LOGGING_COMMAND.sub("# ", visible("\n".join(text.splitlines())).replace("\t", " "))


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Shorten the text to that many characters, between two words if possible, and add an ellipsis."""
    if len(text) <= longest:
        return text
    head = text[:longest]
    words = head.rsplit(" ", 1)[0]
    return f"{words if len(words) > longest // 2 else head} …"


def without_tokens(text: str) -> str:
    """Replace everything that looks like a token or secret of Databricks, or like a signed token."""
    return _TOKENS.sub("***", text)


def first_sentence(error: BaseException) -> str:
    """Return the first sentence of an error's message, sanitized and shortened for a quotation."""
    message = re.sub(r"\s+", " ", without_tokens(printable(str(error)))).strip() or type(error).__name__
    first = re.split(r"(?<=\w)[.:] (?:Detail|Detailed message|Traceback)\b", message)[0]
    return shortened(first).rstrip(" .")
