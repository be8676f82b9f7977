"""The manager of a headless kernel."""

from typing import Any

from jupyter_client.manager import AsyncKernelManager


class KernelManager(AsyncKernelManager):
    """A manager that keeps the clients that it makes: papermill leaves their sockets open."""

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self.clients: list[Any] = []

    def client(self, **traits: Any) -> Any:
        """See `AsyncKernelManager.client`."""
        self.clients.append(super().client(**traits))
        return self.clients[-1]
