"""The manager of a headless kernel."""

from typing import Any

from jupyter_client.manager import AsyncKernelManager
from typing_extensions import override


class KernelManager(AsyncKernelManager):
    """A manager that stores its clients, since papermill leaves their sockets open."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.clients: list[Any] = []

    @override
    def client(self, **traits: Any) -> Any:
        self.clients.append(super().client(**traits))
        return self.clients[-1]
