"""The automated participant: carries the pages out in a fresh clone, with a home of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from azure_devops_local.agent.checkout import difference, make_thin_environment
from azure_devops_local.agent.processes import kill_marked
from kit_common import git
from kit_common.errors import UserError
from workshop.course import edits, printed
from workshop.course.page import FIRST_TERMINAL, Command, Edit, Page, Step
from workshop.course.terminal import Ended, Terminal

ADDRESS = "<address of this repository>"
"""What the pages show for the address to clone."""
SHOWN_HOME = "/home/ana"
"""What the pages show for the participant's home folder."""
UNTIL_READY = 60.0
"""Time-out in seconds for the output of a command that runs on."""
_MARK = "WORKSHOP_COURSE_REHEARSAL"
_LEADS_ELSEWHERE = (
    "AZURE_DEVOPS_LOCAL_",
    "DATABRICKS_",
    "GIT_",
    "JUPYTER_",
    "MAKE",
    "MLFLOW_",
    "VIRTUAL_ENV",
    "WORKSHOP_",
)
_OF_THE_SESSION = {"MFLAGS", "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH", "PS1", "COLUMNS", "LINES"}
_LAST_LINES = 8


class StuckError(UserError):
    """The participant can't go on: the sentence contains page, line, command, and what was printed."""


@dataclass
class Outcome:
    """What a rehearsal has done, and what differs from the pages."""

    pages: int = 0
    blocks: int = 0
    commands: int = 0
    edits: int = 0
    figures: int = 0
    problems: list[str] = field(default_factory=list)
    outputs: dict[tuple[Path, int], list[str]] = field(default_factory=dict)
    """The lines that a command has printed, by page and line."""


@contextmanager
def own_folder(keep: bool) -> Iterator[Path]:
    """Make a temporary folder; in the end, also after an interrupt, end what was started in it, and remove it."""
    folder = Path(tempfile.mkdtemp(prefix="rehearsal-")).resolve()
    try:
        yield folder
    finally:
        kill_marked({_MARK: str(folder)})
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a participant whose home is `home` in that folder: none leads out of it."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_LEADS_ELSEWHERE) and not name.startswith("XDG_") and name not in _OF_THE_SESSION
    }
    programs = [
        each
        for each in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if sys.prefix == sys.base_prefix or Path(each).resolve() != Path(sys.prefix).resolve() / "bin"
    ]
    return inherited | {
        _MARK: str(folder),
        "HOME": str(folder / "home"),
        "PATH": os.pathsep.join(programs),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "COLUMNS": "100",
        "PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_TERMINAL_PROMPT": "0",
        "PYTHONUNBUFFERED": "1",  # standard output and standard error in the order in which a reader sees them
    }


def publish(repository: Path, folder: Path) -> Path:
    """Copy the repository's HEAD to a bare repository with the branch `main` only, to be cloned by the participant."""
    published = folder / "workshop.git"
    git.ask(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(published))
    git.ask(published, "config", "receive.shallowUpdate", "true")  # a build service may have fetched few commits
    head = git.ask(repository, "rev-parse", "HEAD")
    git.ask(repository, "push", "--quiet", "--no-verify", str(published), f"{head}:refs/heads/main")
    return published


@dataclass
class Participant:
    """A participant in a folder of its own."""

    folder: Path
    address: Path
    report: Callable[[str], None]
    outcome: Outcome = field(default_factory=Outcome)
    terminals: dict[str, Terminal] = field(default_factory=dict)
    must_match: bool = True
    """Whether a command that runs on must print what the page shows."""

    def carry_out(self, page: Page) -> None:
        """Carry a page out, and keep what it printed.

        Raises:
            StuckError: a command or an edit failed.
        """
        for at, step in enumerate(page.steps):
            started = time.monotonic()
            try:
                if isinstance(step, Edit):
                    edits.apply(step, self._checkout())
                    self.outcome.edits += 1
                else:
                    self._type(page, step, page.steps[at + 1 : at + 2])
                    self.outcome.commands += 1
            except UserError as error:
                if isinstance(error, StuckError):
                    raise
                what = f"{_name(step)}: {error}" if isinstance(step, Command) else str(error)
                raise StuckError(f"{page.at(step.line)}: {what}") from error
            what = _name(step) if isinstance(step, Command) else f"edit of {step.place.path}"
            self.report(f"  line {step.line}: {what} ({time.monotonic() - started:.1f} s)")
        self.outcome.pages += 1
        self.outcome.blocks += page.blocks

    def close(self) -> None:
        """End the terminals."""
        for terminal in self.terminals.values():
            terminal.close()

    def printed_in_notebooks(self) -> str:
        """Return the text in the outputs of the notebooks that the course has run."""
        notebooks = (self.folder / "home").rglob(".workshop/**/*.ipynb")
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in notebooks)

    def _checkout(self) -> Path:
        here = self._terminal(FIRST_TERMINAL).folder
        return next((each for each in (here, *here.parents) if (each / ".git").exists()), here)

    def _terminal(self, name: str) -> Terminal:
        """Return the terminal of this name; a new one begins in the folder of the first."""
        if name not in self.terminals:
            home = self.folder / "home"
            home.mkdir(exist_ok=True)
            first = self.terminals.get(FIRST_TERMINAL)
            self.terminals[name] = Terminal(first.folder if first else home, environment(self.folder))
        return self.terminals[name]

    def _type(self, page: Page, command: Command, following: Sequence[Step]) -> None:
        terminal = self._terminal(command.terminal)
        text = command.text.replace(ADDRESS, str(self.address))
        runs_on = command.terminal != FIRST_TERMINAL and bool(command.expected)
        try:
            ended = self._followed(terminal, text, command) if runs_on else terminal.run(text)
        except TimeoutError as error:
            lines = self._shown(error.args[0])
            if not runs_on:
                raise StuckError(_failure(page, command, "does not end", lines)) from error
            if self.must_match:
                raise StuckError(_failure(page, command, "does not print what the page shows", lines)) from error
            ended = Ended(None, error.args[0])
        lines = self._shown(ended.lines)
        self.outcome.outputs[page.path, command.line] = lines
        code_is_shown = any(
            isinstance(each, Command) and each.text.partition("#")[0].strip() == "echo $?" for each in following
        )
        if ended.code and not code_is_shown:
            raise StuckError(_failure(page, command, f"ended with {ended.code}", lines))
        self._set_up(terminal.folder)

    def _followed(self, terminal: Terminal, text: str, command: Command) -> Ended:
        def has_printed_it(lines: Sequence[str]) -> bool:
            return printed.matches(command.expected, self._shown(lines), only_begun=True)

        if not text:
            return terminal.follow(has_printed_it, UNTIL_READY)
        return terminal.run(text, has_printed_it, UNTIL_READY)

    def _shown(self, lines: Sequence[str]) -> list[str]:
        return [line.replace(str(self.folder / "home"), SHOWN_HOME) for line in lines]

    def _set_up(self, folder: Path) -> None:
        """Give a new clone the installed packages, which saves minutes; `make setup` finds them up to date."""
        requirements = folder / "requirements.txt"
        if not (folder / ".git").is_dir() or (folder / ".venv").exists() or not requirements.is_file():
            return
        if different := difference(requirements.read_text(encoding="utf-8")):
            self.report(f"  {different}: `make setup` installs the packages.")
        else:
            make_thin_environment(folder)
            # What a set-up does beside the packages: it tells Git to leave the outputs of notebooks out of commits.
            make = ["make", "--quiet", "setup"]
            subprocess.run(make, cwd=folder, env=environment(self.folder), check=False, capture_output=True)


def _name(command: Command) -> str:
    return f"`{command.text}`" if command.text else f"the {command.terminal.lower()}"


def _failure(page: Page, command: Command, problem: str, lines: Sequence[str]) -> str:
    last = "\n".join(f"    {line}" for line in lines[-_LAST_LINES:]) or "    (nothing was printed)"
    return f"{page.at(command.line)}: {_name(command)} {problem}:\n{last}"


def rehearse(  # noqa: PLR0913, PLR0917
    pages: Sequence[Page],
    repository: Path,
    folder: Path,
    report: Callable[[str], None],
    compare: bool = False,
    rewrite: bool = False,
) -> Outcome:
    """Carry the pages out in order, in a fresh clone of the repository's HEAD.

    Args:
        pages: the pages of the course.
        repository: the checkout to clone.
        folder: an empty folder, for the clone and the participant's home.
        report: called with each line of progress.
        compare: whether output and figures must be those of the pages.
        rewrite: whether output in the pages is replaced by what was printed.
    """
    participant = Participant(folder, publish(repository, folder), report, must_match=not (compare or rewrite))
    outcome = participant.outcome
    try:
        for page in pages:
            report(f"{page.path.stem}: {page.blocks} blocks")
            participant.carry_out(page)
    except StuckError as error:
        outcome.problems.append(str(error))
    finally:
        participant.close()
    is_complete = not outcome.problems
    for page in pages:
        if rewrite:
            write(page, outcome)
        elif compare:
            outcome.problems += differences(page, outcome)
    if is_complete and (compare or rewrite):
        outputs = "\n".join("\n".join(lines) for lines in outcome.outputs.values())
        known = f"{outputs}\n{participant.printed_in_notebooks()}"
        outcome.figures = sum(len(page.figures) for page in pages)
        outcome.problems += [
            f"{page.at(figure.line)}: the figure {figure.text} was not printed by the course: correct it."
            for page in pages
            for figure in page.figures
            if not printed.is_in(figure.text, known)
        ]
    return outcome


def _compared(page: Page, outcome: Outcome) -> Iterator[tuple[Command, list[str], tuple[int, str]]]:
    """Return the commands whose output is not that of the page, what they printed, and the first difference."""
    for step in page.steps:
        lines = outcome.outputs.get((page.path, step.line))
        if isinstance(step, Command) and step.expected and lines is not None:
            found = printed.first_difference(step.expected, lines, only_begun=step.terminal != FIRST_TERMINAL)
            if found:
                yield step, lines, found


def differences(page: Page, outcome: Outcome) -> list[str]:
    """Return a sentence on each command whose output is not that of the page."""
    return [
        f"{page.at(command.shown.start + at + 1)}: {_name(command)} does not print what the page shows:\n"
        f"    expected: {command.expected[at] if at < len(command.expected) else '(no further line)'}\n"
        f"    printed:  {line or '(no further line)'}"
        for command, _, (at, line) in _compared(page, outcome)
    ]


def write(page: Page, outcome: Outcome) -> None:
    """Replace the output in the page by what was printed; output that matches stays as it is."""
    lines = list(page.lines)
    for command, output, _ in reversed(list(_compared(page, outcome))):
        shown = printed.rewritten(command.expected, output)
        lines[command.shown.start : command.shown.stop] = [f"{command.indent}{line}".rstrip() for line in shown]
    if lines != list(page.lines):
        page.path.write_text("\n".join(lines) + "\n", encoding="utf-8")
