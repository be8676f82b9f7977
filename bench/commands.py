"""How soon commands answer, in processor and wall seconds, against `python -c "import mlflow"`.

All run in a clone of this checkout, as a participant's do, on the home of one first deployment run and beside a started
team's repository. Whole processes are timed, or those that work on until their first line. The targets are ones for
processor seconds: they say the same on a machine that does other things meanwhile.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.measure import (
    ROOT,
    BrokenError,
    Command,
    Finished,
    Result,
    Row,
    Spread,
    Target,
    Tell,
    environment,
    timed,
    workplace,
)

PEER = 'python -c "import mlflow"'
AT_ONCE = Target("≤", 0.5, "s")
LIKE_THE_PEER = Target("≤", 1.15)
SOON = Target("≤", 0.3, "s wall")


@dataclass(frozen=True)
class Measured:
    """A command, and what is expected of it."""

    arguments: str
    target: Target | None
    exit_code: int = 0
    first_line: bool = False
    """Whether it is timed until its first line only."""

    @property
    def what(self) -> str:
        """The command as the table names it."""
        return f"workshop {self.arguments}{', first line' if self.first_line else ''}"


MEASURED = (
    Measured("--help", AT_ONCE),
    Measured("docs --help", AT_ONCE),
    Measured("devops --help", AT_ONCE),
    Measured("devops runs", AT_ONCE),
    Measured("devops pr list", AT_ONCE),
    Measured("pipelines check", AT_ONCE),
    Measured("pipelines triggered --branch main", AT_ONCE),
    Measured("check 1", AT_ONCE, exit_code=1),
    Measured("doctor", AT_ONCE, first_line=True),
    Measured("run", SOON, first_line=True),
    Measured("status", LIKE_THE_PEER),
    Measured("history", LIKE_THE_PEER),
    Measured("rollback --to 99", LIKE_THE_PEER, exit_code=1),
    Measured("doctor", None),
)
_WORKSHOP = str(Path(sys.executable).with_name("workshop"))


def measure(rounds: int, tell: Tell) -> Result:
    """Measure the peer and all commands, taking turns."""
    peer: list[Finished] = []
    found: dict[Measured, list[Finished]] = {each: [] for each in MEASURED}
    with workplace() as folder:
        clone, variables = folder / "clone", environment(folder / "home")
        tell("commands: the first deployment and the team's repository, not timed")
        timed(["git", "clone", "--quiet", ROOT, clone], variables)
        timed([_WORKSHOP, "run", "--action", "deployment"], variables)
        timed([_WORKSHOP, "devops", "start"], variables, cwd=clone)
        for number in range(rounds):
            tell(f"commands: round {number + 1} of {rounds}")
            peer.append(timed([sys.executable, "-c", "import mlflow"], variables, cwd=clone))
            for each in MEASURED:
                command = [_WORKSHOP, *each.arguments.split()]
                found[each].append(
                    _until_first_line(command, variables, clone)
                    if each.first_line
                    else timed(command, variables, [each.exit_code], cwd=clone)
                )
    return Result(
        "commands: how soon they answer",
        "processor seconds, and below them seconds on the clock; ratios are those of processor seconds",
        [_row(each, found[each], peer) for each in MEASURED],
    )


def _row(measured: Measured, found: list[Finished], peer: list[Finished]) -> Row:
    processor, wall = (Spread([getattr(each, name) for each in found]) for name in ("processor", "seconds"))
    theirs = Spread([each.processor for each in peer])
    ratio, target = processor.per(theirs), measured.target
    figure = {AT_ONCE: processor, LIKE_THE_PEER: ratio, SOON: wall, None: None}[target]
    return Row(
        measured.what,
        _shown(found),
        PEER,
        _shown(peer),
        ratio,
        target,
        target.met_by(figure.median) if target is not None and figure is not None else None,
    )


def _shown(found: list[Finished]) -> str:
    processor, wall = (Spread([getattr(each, name) for each in found]).median for name in ("processor", "seconds"))
    return f"{processor:.2f} s\n[dim]{wall:.2f} s[/]"


def _until_first_line(command: Command, variables: Mapping[str, str], cwd: Path) -> Finished:
    """Take the times of a command until its first line, and end it then.

    Raises:
        BrokenError: it prints none.
    """
    started = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # on which it prints that it is stopped
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        seconds, times = time.perf_counter() - started, psutil.Process(process.pid).cpu_times()
        process.terminate()
    if not line:
        raise BrokenError(f"`{' '.join(map(str, command))}` prints no line.")
    return Finished(seconds, times.user + times.system, line)
