"""The Git filter that keeps the outputs of notebooks out of commits; `make setup` and `workshop lab` set it.

`.gitattributes` names the filter, and a clone where it is not set commits notebooks as they are saved. The filter is
nbstripout. The notebooks in the working folder keep their outputs.
"""

import shlex
import sys
import sysconfig
from pathlib import Path

from kit_common import git
from kit_common.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[3]
_SETTING = "filter.without-outputs.clean"
_ADDED_BY_EDITORS = ("codemirror_mode", "file_extension", "mimetype", "nbconvert_exporter", "pygments_lexer", "version")
"""Fields of the notebook's `language_info` that an editor writes with the first save, and that differ by machine."""


def set_filter(checkout: Path = CHECKOUT, scripts: Path | None = None) -> None:
    """Set the filter in the configuration of the clone, for all its worktrees; do nothing outside of a repository.

    Args:
        checkout: a folder in the clone.
        scripts: the folder with the program nbstripout; by default that of this environment.

    Raises:
        UserError: Git is not installed, or can't write the configuration.
    """
    if not (checkout / ".gitattributes").is_file() or git.top_level(checkout) is None:
        return
    git.ask(checkout, "config", "--local", _SETTING, _program(scripts or Path(sysconfig.get_path("scripts"))))


def _program(scripts: Path) -> str:
    """Return the shell program that reads a notebook and writes it without outputs, or as it is without nbstripout.

    An absolute path, since a worktree has no `.venv`, and an editor does not activate it. Git itself names a notebook
    that nbstripout can't read, such as one with conflict markers, and adds it as it is.
    """
    program = scripts / ("nbstripout.exe" if sys.platform == "win32" else "nbstripout")
    quoted = shlex.quote(program.as_posix())
    keys = shlex.quote(" ".join(f"metadata.language_info.{name}" for name in _ADDED_BY_EDITORS))
    stripped = f"{quoted} --keep-id --unix-newlines --extra-keys {keys} 2>/dev/null"
    # Git replaces %f in the program by the path of the notebook.
    return f"if test -x {quoted}; then {stripped}; else cat; fi".replace("%", "%%")


if __name__ == "__main__":
    try:
        set_filter()
    except UserError as error:
        print(f"The outputs of notebooks stay in commits: {error}", file=sys.stderr)
