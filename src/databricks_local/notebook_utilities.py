"""The `dbutils` of a task's notebook; runs in the kernel, and imports nothing of this package.

Source of widgets.get, widgets.getAll, widgets.text and notebook.exit: Databricks' reference of its utilities. Assumed:
getAll includes undeclared parameters of the task; exit raises an exception that `except Exception` catches. A value
below /Volumes becomes the path of the folder on this machine: the service mounts volumes at /Volumes.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any


class InputWidgetNotDefined(Exception):  # noqa: N818  # the service's name for it
    """The widget was neither passed nor declared."""


class NotebookExit(Exception):  # noqa: N818  # the service's name for it
    """The end of a notebook that has called `dbutils.notebook.exit`."""


class Widgets:
    """The task's parameters, and those that the notebook declares with a default."""

    def __init__(self, passed: dict[str, str]) -> None:
        self._values = passed

    def get(self, name: str) -> str:
        """Return the value of a widget."""
        if name not in self._values:
            raise InputWidgetNotDefined(f"No input widget named {name} is defined")
        return self._values[name]

    def getAll(self) -> dict[str, str]:  # noqa: N802  # the service's name for it
        """Return the values of all widgets."""
        return dict(self._values)

    def text(self, name: str, defaultValue: str, label: str | None = None) -> None:  # noqa: ARG002  # the service's names
        """Declare a widget with a default."""
        self._values.setdefault(name, str(defaultValue))

    def dropdown(self, name: str, defaultValue: str, choices: list[str], label: str | None = None) -> None:  # noqa: ARG002
        """Declare a widget with a default that is one of the choices."""
        if defaultValue not in choices:
            raise ValueError(f"The default value {defaultValue} is not among the choices of the widget {name}")
        self._values.setdefault(name, defaultValue)


class Notebook:
    """The notebook that runs."""

    def __init__(self, exit_file: Path) -> None:
        self._exit_file = exit_file

    def exit(self, value: str) -> None:
        """End the notebook with this value as its result."""
        if not isinstance(value, str):
            raise TypeError(f"the value that a notebook exits with is text, not {type(value).__name__}")
        self._exit_file.write_text(value, encoding="utf-8")
        raise NotebookExit(value[:200])


class Utilities:
    """The object `dbutils` of a notebook."""

    def __init__(self, widgets: Widgets, notebook: Notebook) -> None:
        self.widgets = widgets
        self.notebook = notebook


def utilities(spec_file: str) -> Utilities:
    """Return the utilities of the task that this specification describes."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    passed = {name: _mounted(value, spec) for name, value in spec["widgets"].items()}
    return Utilities(Widgets(passed), Notebook(Path(spec["folder"]) / "exit.txt"))


def _mounted(value: str, spec: dict[str, Any]) -> str:
    if not value.startswith("/Volumes/"):
        return value
    path = PurePosixPath(value)
    for mount, folder in spec["mounts"].items():
        if path.is_relative_to(mount):
            return str(Path(folder) / path.relative_to(mount))
    return str(Path(spec["no_volume"]) / value.lstrip("/"))
