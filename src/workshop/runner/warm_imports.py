"""What nearly every notebook imports, imported once in the process that kernels are forked from.

Importing only: nothing here may start a thread, open a file or a connection that a forked kernel would share. Nor may
it import matplotlib's inline backend, which ties itself to the IPython shell that is there when it is imported.
"""

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module

if sys.path[:1] == [""]:
    del sys.path[0]  # a module in the folder of the command must not replace one that is installed

os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # as a kernel sets it; read on import

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
    with suppress(Exception):  # a notebook that needs the module gets this error; the others need no such module
        import_module(module)

gc.freeze()  # a collection in a kernel would copy all that memory, object by object
