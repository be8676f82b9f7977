"""`python -m databricks_local`: a workspace on this machine to try things on, until Ctrl-C.

It says what to export in another terminal; what it holds goes with it, unless it is given a folder.
"""

import argparse
import shlex
import signal
import sys
import tempfile
from pathlib import Path

from databricks_local.mlflow_server import mlflow_server
from databricks_local.workspace import running


def main() -> None:
    """Serve until somebody stops it."""
    parser = argparse.ArgumentParser(prog="python -m databricks_local", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="keeps what the workspace holds")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="workspace-") as temporary:
        folder = (parser.parse_args().folder or Path(temporary)).resolve()
        with (
            mlflow_server(folder / "mlflow", hands_out_artifacts=False) as mlflow,
            running(folder, mlflow) as workspace,
        ):
            variables = {
                "DATABRICKS_HOST": workspace.host,
                "DATABRICKS_TOKEN": workspace.token,
                "WORKSHOP_DATABRICKS_HOME": workspace.home,
                "WORKSHOP_DATABRICKS_POLL_SECONDS": "0.5",
            }
            for name, value in variables.items():
                print(f"export {name}={shlex.quote(value)}")
            print("# A stand-in for a workspace, with the schema main.workshop; Ctrl-C ends it.", flush=True)
            signal.pause()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
