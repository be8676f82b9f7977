"""Foreign text, made harmless to show: on a terminal, on a page, in a log, in a sentence of ours."""

import re

LONGEST_QUOTE = 300
"""Characters that a sentence of ours takes from a foreign text."""
# ECMA-48: control sequences; strings for the terminal, such as its title, which end with ST or BEL; any other.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Control characters, bidirectional marks and overrides, zero-width characters, tags and noncharacters.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufffe\uffff"
    r"\U000e0000-\U000e007f]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Databricks' own tokens and client secrets, and signed tokens of anybody, wherever they come from.
_TOKENS = re.compile(
    r"\bdapi[0-9a-f]{16,}(-\d+)?|\bdose[0-9a-f]{16,}|\beyJ[\w-]+(\.[\w-]+){0,2}|(?<=Bearer )[\w.~+/=-]+"
)
_LOGGING_COMMAND = re.compile(r"#(?=#(?:vso)?\[)", re.IGNORECASE)


def visible(text: str) -> str:
    """Return the text without anything that is not seen, or that steers what shows it; lines and tabs stay.

    Removed: escape sequences, control characters, characters that turn the direction of writing around, and
    zero-width characters. Half of a surrogate pair, which cannot be written, becomes the replacement character.
    """
    lines = [_UNSEEN.sub("", _ESCAPES.sub("", line)) for line in text.split("\n")]
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


def printable(text: str) -> str:
    """Return what is `visible` of a text that an agent of Azure Pipelines may read: tabs become spaces.

    Each kind of line end becomes one. No beginning of a logging command is left, which the agent carries out wherever
    in a line it stands.
    """
    return _LOGGING_COMMAND.sub("# ", visible("\n".join(text.splitlines())).replace("\t", " "))


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return at most that many characters of a text, cut between two words where it can be, and a sign for the rest."""
    if len(text) <= longest:
        return text
    head = text[:longest]
    words = head.rsplit(" ", 1)[0]
    return f"{words if len(words) > longest // 2 else head} …"


def without_tokens(text: str) -> str:
    """Return the text without anything like a token or a secret of Databricks, or a signed token."""
    return _TOKENS.sub("***", text)


def first_sentence(error: BaseException) -> str:
    """Return the message of another library's error, cut down to what fits into a sentence of ours."""
    message = re.sub(r"\s+", " ", without_tokens(printable(str(error)))).strip() or type(error).__name__
    first = re.split(r"(?<=\w)[.:] (?:Detail|Detailed message|Traceback)\b", message)[0]
    return shortened(first).rstrip(" .")
