"""The one error that a person is meant to read."""

import errno
import re


class WorkshopError(Exception):
    """Something that a person can put right; its text is one sentence that says what is wrong and what to do.

    IPython shows that sentence instead of a traceback, in Jupyter as in an executed notebook.
    """

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


LONGEST_QUOTE = 300
"""Characters that a sentence of ours takes from somebody else's text."""
# ECMA-48: control sequences; strings for the terminal, such as its title, which end with ST or BEL; any other.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_UNSEEN = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffe\uffff]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Databricks' own tokens and client secrets, and signed tokens of anybody, wherever they come from.
_TOKENS = re.compile(
    r"\bdapi[0-9a-f]{16,}(-\d+)?|\bdose[0-9a-f]{16,}|\beyJ[\w-]+(\.[\w-]+){0,2}|(?<=Bearer )[\w.~+/=-]+"
)
_LOGGING_COMMAND = re.compile(r"#(?=#(?:vso)?\[)", re.IGNORECASE)
_CHOOSE = "choose a folder that you may write to with WORKSHOP_HOME=/path/to/folder"
_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space, then run it again",
    errno.EDQUOT: "the disk quota is used up: free some space, then run it again",
    errno.EACCES: f"no permission: {_CHOOSE}",
    errno.EPERM: f"no permission: {_CHOOSE}",
    errno.EROFS: f"the file system is read-only: {_CHOOSE}",
    errno.ENOENT: f"there is no such place, and it can't be made: {_CHOOSE}",
    errno.ENOTDIR: f"a file stands where a folder is needed: {_CHOOSE}",
    errno.EEXIST: f"a file stands where a folder is needed: {_CHOOSE}",
}


def printable(text: str) -> str:
    """What others have written, so that it does nothing where it is shown: on a terminal, in an agent's log, in a file.

    Its lines stay. No control character is left, no escape sequence and no character that turns the direction of
    writing around or is not seen at all; no half of a surrogate pair, which can't be written; and no beginning of a
    logging command of Azure Pipelines, which the agent carries out wherever in a line it finds one.
    """
    lines = [_UNSEEN.sub("", _ESCAPES.sub("", line)).replace("\t", " ") for line in text.splitlines()]
    return _LOGGING_COMMAND.sub("# ", _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines)))


def shortened(text: str, longest: int = LONGEST_QUOTE) -> str:
    """Return at most that many characters of a text, cut between two words where it can be, and a sign for the rest."""
    if len(text) <= longest:
        return text
    head = text[:longest]
    words = head.rsplit(" ", 1)[0]
    return f"{words if len(words) > longest // 2 else head} …"


def without_tokens(text: str) -> str:
    """The text without what looks like a token or a secret of Databricks, or a signed token of anybody."""
    return _TOKENS.sub("***", text)


def first_sentence(error: BaseException) -> str:
    """What another library's error says, cut down to what fits into a sentence of ours."""
    said = re.sub(r"\s+", " ", without_tokens(printable(str(error)))).strip() or type(error).__name__
    first = re.split(r"(?<=\w)[.:] (?:Detail|Detailed message|Traceback)\b", said)[0]
    return shortened(first).rstrip(" .")


def explain_os_error(error: OSError) -> WorkshopError:
    """Say in one sentence what the operating system refused and what to do about it."""
    if "No usable temporary directory" in str(error):  # tempfile's, which has no number of its own
        return WorkshopError("No folder takes temporary files: set TMPDIR to one that you may write to.")
    place = f" at {error.filename}" if error.filename else ""
    advice = _ADVICE.get(error.errno or 0, error.strerror or first_sentence(error))
    return WorkshopError(f"Cannot write or read{place}: {advice}.")
