"""Filling an empty environment from requirements.txt: uv, as `make setup` has it, against pip.

Each installer fills a fresh `python -m venv` from the same file with the same hashes; making the venv is not timed.
pip compiles bytecode, so uv is told to as well (as `make setup` tells it) and both end with the same folder; one row
without it shows what that costs. pip and the first uv begin without a cache and download everything, once each: that
takes long, and is as much the network's figure as theirs. The warm uv is offline and takes everything from the user's
own cache, as on a second checkout; one sync before it, not timed, makes sure that the cache is warm.

`make setup` on an environment that is ready is what every other target does first, so it should take next to no time;
its peer is what it saves, a sync.
"""

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.measure import ROOT, BrokenError, Command, Result, Row, Spread, Target, Tell, environment, timed, workplace

PIP = "pip, no cache"
COLD = "uv, empty cache"
WARM = "uv, warm cache, offline"
UNCOMPILED = "uv, warm cache, offline, no bytecode"
AGAIN = "make setup, again"
AT_ONCE = Target("<", 1.0, "s")
_READY = ".venv/.ready"
_NO_INDEX = re.compile(
    r"error sending request|dns error|name resolution|network (connectivity|is unreachable)|timed out|"
    r"connection (broken|refused|reset|aborted|error)",
    re.IGNORECASE,
)
_Figure = Spread | str
"""A measurement, or why there is none."""


def measure(rounds: int, tell: Tell) -> Result:
    """Measure each installer, and `make setup` on the environment that is there."""
    with workplace() as folder:
        venv = folder / "venv"
        python, uv = str(venv / "bin" / "python"), str(Path(sys.executable).with_name("uv"))
        requirements = str(ROOT / "requirements.txt")
        pip = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--requirement",
            requirements,
        ]
        sync = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, requirements]
        cache, compiled, offline = str(folder / "cache"), "--compile-bytecode", "--offline"
        figures: dict[str, _Figure] = {
            PIP: _filled(venv, [[*pip, "--no-cache-dir"]], tell, PIP),
            COLD: _filled(venv, [[*sync, compiled, "--cache-dir", cache]], tell, COLD),
        }
        shutil.rmtree(cache, ignore_errors=True)
        tell("setup: warming uv's cache")
        if isinstance(_filled(venv, [[*sync, offline]], tell, "is uv's cache warm?"), str):
            _filled(venv, [sync], tell, "warming uv's cache")
        figures[WARM] = _filled(venv, [[*sync, compiled, offline]] * rounds, tell, WARM)
        figures[UNCOMPILED] = _filled(venv, [[*sync, offline]] * rounds, tell, UNCOMPILED)
        figures[AGAIN] = _made_again(rounds, environment(folder / "home"))
    return Result(
        "setup: from an empty venv to everything in requirements.txt",
        "seconds of the installer; pip and the empty cache download everything, once each",
        [
            _row(COLD, PIP, figures),
            _row(WARM, PIP, figures),
            _row(UNCOMPILED, PIP, figures),
            _row(AGAIN, WARM, figures),
        ],
    )


def _filled(venv: Path, commands: Sequence[Command], tell: Tell, name: str) -> _Figure:
    """The seconds that each command takes to fill a fresh environment."""
    variables = environment(venv.with_name("home"))
    seconds = []
    for number, command in enumerate(commands):
        tell(f"setup: {name}, {number + 1} of {len(commands)}")
        timed([sys.executable, "-m", "venv", venv], variables)
        try:
            seconds.append(timed(command, variables).seconds)
        except BrokenError as error:
            if not _NO_INDEX.search(str(error)):
                raise
            return "not measured: it needs the package index, which can't be reached"
        finally:
            shutil.rmtree(venv)
    return Spread(seconds)


def _made_again(rounds: int, variables: Mapping[str, str]) -> _Figure:
    """The seconds of `make setup` in this checkout, if its environment is ready: it must not be made while in use."""
    try:
        timed(["make", "--question", _READY], variables)
    except BrokenError:
        return "not measured: the environment is older than its files, `make setup` first"
    return Spread([timed(["make", "setup"], variables).seconds for _ in range(rounds)])


def _row(name: str, peer: str, figures: Mapping[str, _Figure]) -> Row:
    figure, theirs = figures[name], figures[peer]
    target = AT_ONCE if name == AGAIN else None
    met = target.met_by(figure.median) if target is not None and isinstance(figure, Spread) else None
    ratio = figure.per(theirs) if isinstance(figure, Spread) and isinstance(theirs, Spread) else None
    return Row(name, _shown(figure), peer, _shown(theirs), ratio, target, met)


def _shown(figure: _Figure) -> str:
    return figure if isinstance(figure, str) else figure.shown("{:.3f}", "s")
