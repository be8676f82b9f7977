"""The process of a headless kernel: an IPython kernel that drops no output.

Warm kernels become this after a fork; fresh ones run this module.
"""

import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__" and Path(sys.path[0] or ".").resolve() == Path.cwd():
    del sys.path[0]  # a module beside the notebooks must not replace one that the kernel imports, as in ipykernel

import zmq
from ipykernel.kernelapp import IPKernelApp

_USUAL_LIMIT = 1000
"""Messages that ZeroMQ queues at a socket by default."""


class HeadlessKernel(IPKernelApp):
    """The kernel application."""

    def init_iopub(self, context: Any) -> None:
        """See `IPKernelApp.init_iopub`."""
        # A publisher drops messages above its limit while the runner is slower than the cell: 0 is no limit.
        context.setsockopt(zmq.SNDHWM, 0)
        super().init_iopub(context)  # type: ignore[no-untyped-call]
        context.setsockopt(zmq.SNDHWM, _USUAL_LIMIT)


if __name__ == "__main__":
    HeadlessKernel.launch_instance()
