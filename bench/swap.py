"""Looking Production up while it is swapped, in the kit's one call and in two calls as the original workshop does it.

The registry is a real `mlflow server` on SQLite. Two processes look the Production model up in a closed loop, by the
calls with which MLflow itself resolves `models:/NAME@production` and `models:/NAME/Production`, while a third swaps
between two versions. What counts is the lookups that find nobody: each of them is a consumer that fails to load.

A thousand swaps each way, over all rounds; the environment variable BENCH_SWAPS sets another number for a quick try.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.measure import BrokenError, Result, Row, Target, Tell, environment, timed, workplace

SWAPS = int(os.environ.get("BENCH_SWAPS", "1000"))
NEVER = Target("≤", 0, "empty")
READY = "Uvicorn running on"
COMPARISONS = {
    "alias, one call": ("alias_in_one_call", "alias, two calls: delete, then set", "alias_in_two_calls"),
    "stage, one call": ("stage_in_one_call", "the original: archive the old, then promote", "stage_in_two_calls"),
}


def measure(rounds: int, tell: Tell) -> Result:
    """Measure all four ways, taking turns."""
    ways = [way for mine, _, peer in COMPARISONS.values() for way in (mine, peer)]
    lookups, empty, seconds = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0), dict.fromkeys(ways, 0.0)
    with workplace() as home, _mlflow_server(home) as uri:
        variables = environment(home, MLFLOW_TRACKING_URI=uri)
        for number in range(rounds):
            swaps = SWAPS * (number + 1) // rounds - SWAPS * number // rounds
            for way in ways:
                tell(f"swap: round {number + 1} of {rounds}, {way.replace('_', ' ')}, {swaps} times")
                done = timed([sys.executable, "-m", "bench.swap_steps", way, str(swaps)], variables)
                figures: dict[str, float] = json.loads(done.output.splitlines()[-1])
                lookups[way] += int(figures["lookups"])
                empty[way] += int(figures["empty"])
                seconds[way] += figures["seconds"]

    def shown(way: str) -> str:
        share = empty[way] / lookups[way]
        return f"{empty[way]:,} of {lookups[way]:,}\n[dim]{share:.1%}; {1000 * seconds[way] / SWAPS:.0f} ms a swap[/]"

    return Result(
        "swap: the Production model, looked up by two readers while it is swapped",
        f"lookups that found nobody, of all lookups; {SWAPS:,} swaps each way",
        [
            Row(f"swap, {what}", shown(mine), peer, shown(theirs), None, NEVER, NEVER.met_by(empty[mine]))
            for what, (mine, peer, theirs) in COMPARISONS.items()
        ],
    )


@contextmanager
def _mlflow_server(home: Path) -> Iterator[str]:
    """An MLflow server whose store is in `home`, from the moment that it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{(home / 'server.db').as_posix()}"),
        # Nobody reads on once it has started, and a full pipe would stop it.
        *("--uvicorn-opts", "--no-access-log"),
    ]
    variables = environment(home, PYTHONUNBUFFERED="1", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
    process = subprocess.Popen(
        command, cwd=home, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said = []
    with process:
        try:
            for line in process.stdout or ():
                said.append(line)
                if READY in line:
                    break
            else:
                raise BrokenError(f"`{' '.join(command)}` ended before it served:\n{''.join(said)}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
