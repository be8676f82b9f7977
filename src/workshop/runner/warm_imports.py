"""Imports of nearly every notebook, done once in the process that kernels are forked from.

No import here may start a thread, or open a file or a connection that a forked kernel would share. Matplotlib's inline
backend must not be imported: it binds to the IPython shell that exists at its import.
"""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module

if sys.path[:1] == [""]:
    del sys.path[0]  # a module in the folder of the command must not replace one that is installed

os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as in a kernel; read on import

gc.disable()  # next to nothing of what is imported is garbage
for module in (
    "ipykernel.zmqshell",
    "mlflow.store.tracking.sqlalchemy_store",
    "skops.io",
    "sklearn.ensemble",
    "workshop.core.promotion.plots",
    "workshop.core.scoring.score",
    "workshop.runner.kernel_process",
    "optuna",
    "xgboost",
):
    with suppress(Exception):  # only a notebook that needs the module gets the error
        import_module(module)

gc.enable()
gc.freeze()  # else a garbage collection in a kernel would copy all this memory
