"""The peer of `workshop run`: what somebody writes who has papermill and three notebooks, and not the kit's runner.

`python -m bench.plain_loop OUTPUT_FOLDER PARAMETERS`, the latter as JSON: each notebook's path with its parameters.
"""

import json
import sys
from pathlib import Path

import papermill

if __name__ == "__main__":
    folder, notebooks = Path(sys.argv[1]), json.loads(sys.argv[2])
    for notebook, parameters in notebooks.items():
        papermill.execute_notebook(notebook, folder / Path(notebook).name, parameters, progress_bar=False)
