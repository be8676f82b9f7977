"""The lines of a page that a reader may type: commands, and blocks of Python."""

import re

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_PROGRAMS = (
    "workshop ",
    "make ",
    ".venv/",
    "git ",
    "pip ",
    "conda ",
    "source ",
    "mlflow ",
    "curl ",
    "python ",
    "export ",
    "WORKSHOP_HOME=",
)
_OPTIONS = re.compile(r"`([^`\n]+)` \(((?:`--[^`]+`(?:, )?)+)")


def python_blocks(page: str) -> list[str]:
    """Return the blocks of Python."""
    return [text for language, text in _BLOCK.findall(page) if language == "python"]


def commands(page: str) -> list[str]:
    """Return the commands, in order and each once.

    These are the lines after a prompt, those of a block for PowerShell, and code in a sentence or a table that begins
    with a program; `workshop history` (`--json`) is two.
    """
    found: list[str] = []
    for language, text in _BLOCK.findall(page):
        if language == "powershell":
            found += text.splitlines()
        elif language == "console":
            found += [line[2:].partition(" # ")[0].strip() for line in text.splitlines() if line.startswith("$ ")]
    prose = _BLOCK.sub("", page)
    for command, options in _OPTIONS.findall(prose):
        found += [f"{command} {option}" for option in _CODE.findall(options)]
    found += [code for code in _CODE.findall(prose) if code.startswith((*_PROGRAMS, ".venv/"))]
    return list(dict.fromkeys(found))
