"""`python -m databricks_local [FOLDER]`: a workspace on this machine until Ctrl-C."""

import argparse
import sys
from pathlib import Path

from databricks_local.command import serve
from databricks_local.mlflow_server import StartError


def main() -> None:
    """Serve a workspace, and print what to export in another terminal."""
    parser = argparse.ArgumentParser(prog="python -m databricks_local", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="Keeps what the workspace contains.")
    try:
        serve(parser.parse_args().folder, lambda line: print(line, flush=True))
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
