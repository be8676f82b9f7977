"""Git commands on a given repository, whatever the environment and the user's settings are."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kit_common.errors import UserError
from kit_common.sanitize import first_sentence

# Variables that Git sets for hooks and aliases, and users in a shell: each leads a command to another repository, index
# or object store, or changes its meaning or output. Variables for identity, configuration files and sign-in stay.
_DROPPED = re.compile(
    r"GIT_((COMMON_)?DIR|(IMPLICIT_)?WORK_TREE|INDEX_FILE|(ALTERNATE_)?OBJECT_DIRECTOR(Y|IES)|QUARANTINE_PATH|NAMESPACE"
    r"|PREFIX|INTERNAL_.*|GRAFT_FILE|SHALLOW_FILE|NO_REPLACE_OBJECTS|REPLACE_REF_BASE|CONFIG(_PARAMETERS|_COUNT"
    r"|_(KEY|VALUE)_\d+)?|(LITERAL|GLOB|NOGLOB|ICASE)_PATHSPECS|ATTR_(SOURCE|NOSYSTEM)|EXTERNAL_DIFF|DIFF_OPTS"
    r"|TEMPLATE_DIR|DEFAULT_(HASH|REF_FORMAT)|ALLOW_PROTOCOL|PROTOCOL(_FROM_USER)?|PUSH_OPTION_.*|REDIRECT_.*|TRACE.*)"
)
# The user's settings must not run programs here, nor change the bytes of a commit or the result of a merge.
_SETTINGS = {
    "advice.detachedHead": "false",
    "clone.rejectShallow": "false",
    "core.attributesFile": "/dev/null",
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "diff.ignoreSubmodules": "none",
    "diff.orderFile": "/dev/null",
    "diff.relative": "false",
    "i18n.logOutputEncoding": "UTF-8",
    "log.showRoot": "true",
    "log.showSignature": "false",
    "merge.default": "text",
    "merge.directoryRenames": "conflict",
    "merge.renames": "true",
    "protocol.file.allow": "always",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
}
_AS_COMMITTED = {"core.autocrlf": "false", "core.eol": "lf"}
AS_COMMITTED = tuple(f"--config={key}={value}" for key, value in _AS_COMMITTED.items())
"""Options for `git clone`: text files keep the line ends of the commit."""
_TRUST = re.compile(r"git config --global --add safe\.directory .+")


def environment(inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment without the variables that lead Git to another repository."""
    return {name: value for name, value in inherited.items() if not _DROPPED.fullmatch(name)}


def command(place: Path, *arguments: str) -> list[str]:
    """Return the command line of a Git command in `place`, a folder in a checkout or a bare repository."""
    settings = {**_SETTINGS, **(_AS_COMMITTED if arguments[0] in {"archive", "clone"} else {})}
    pairs = [*(f"{key}={value}" for key, value in settings.items()), *(f"safe.directory={path}" for path in _trusted())]
    # With safe.bareRepository=explicit, Git accepts a bare repository only by --git-dir.
    is_bare = not (place / ".git").exists() and (place / "HEAD").is_file() and (place / "objects").is_dir()
    bare = ["--git-dir=."] if is_bare else []
    return ["git", "-C", str(place), *bare, *(word for pair in pairs for word in ("-c", pair)), *arguments]


def run(
    place: Path, *arguments: str, given: bytes = b"", timeout: float | None = None, **own: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run a Git command in `place`, whatever its exit code.

    Args:
        place: a folder in a checkout, or a bare repository.
        arguments: the command and its arguments.
        given: its standard input.
        timeout: in seconds.
        own: additional environment variables.

    Raises:
        UserError: Git is not installed, or does not end in time.
    """
    # This module searches Git's messages, so they must be in English.
    variables = {**environment(), "LC_ALL": "C", **own}
    try:
        return subprocess.run(
            command(place, *arguments), input=given, capture_output=True, env=variables, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"`git {arguments[0]}` in {place} takes longer than {timeout:.0f} s: try again.") from error
    except OSError as error:
        raise UserError(f"Git can't be started ({error.strerror}): install it, or correct PATH.") from error


def ask(place: Path, *arguments: str, given: str = "", **own: str) -> str:
    """Return the output of a Git command without the last line ends.

    Raises:
        UserError: the command failed; with Git's reason.
    """
    done = run(place, *arguments, given=given.encode(), timeout=None, **own)
    if done.returncode:
        raise UserError(f"`git {arguments[0]}` failed: {reason(done)}.")
    return done.stdout.decode(errors="replace").rstrip("\n")


def reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return Git's message about a failed command."""
    message = done.stderr.decode(errors="replace").strip().removeprefix("fatal: ")
    if trust := _TRUST.search(message):
        return f"{first_sentence(Exception(message.splitlines()[0]))}: if you trust it, run `{trust.group()}`"
    return first_sentence(Exception(message or f"it ended with {done.returncode}"))


def top_level(folder: Path) -> Path | None:
    """Return the root of the checkout that contains the folder; None if it is outside of any repository.

    Raises:
        UserError: Git refuses the repository, or it is bare.
    """
    done = run(folder, "rev-parse", "--show-toplevel")
    if done.returncode == 0:
        return Path(done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n"))
    if b"not a git repository (or any" in done.stderr:
        return None
    raise UserError(f"Git does not work in {folder}: {reason(done)}.")


def _trusted() -> list[str]:
    """Return the folders of other owners that environment variables trust, as in containers."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    numbers = range(int(count) if count.isdecimal() else 0)
    pairs = [(f"GIT_CONFIG_KEY_{number}", f"GIT_CONFIG_VALUE_{number}") for number in numbers]
    return [os.environ.get(value, "") for key, value in pairs if os.environ.get(key, "").lower() == "safe.directory"]
