"""Files of model versions: those of Unity Catalog's models, by the Files API below /Models.

Where the rules are from: the paths and fields, the SDK's docstrings of `FilesAPI` and MLflow's
`DatabricksSDKModelsArtifactRepository`; only a version that is not finalized can be changed (assumed).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from databricks_local.answers import Answer, Refused, Request, as_json, invalid

FILES, FOLDERS = "/api/2.0/fs/files/Models/", "/api/2.0/fs/directories/Models/"


class ModelFiles:
    """The files of versions in Unity Catalog."""

    def __init__(self, folder: Path, require_right_to: Callable[[str], None]) -> None:
        self._folder = folder
        self._require_right_to = require_right_to
        self.pending: set[tuple[str, str]] = set()
        """Versions that are not finalized."""

    def place(self, name: str, version: str) -> Path:
        """Return the folder of a version."""
        return self._folder.joinpath("Models", *name.split("."), str(version))

    def answer(self, request: Request) -> Answer:
        """Answer a call of the Files API."""
        inside = request.path.partition("/Models/")[2]
        levels = inside.split("/")
        if ".." in levels or len(levels) < 4:
            raise invalid(f"Invalid path: /Models/{inside}")
        name, version = ".".join(levels[:3]), levels[3]
        self._require_right_to(name)
        place = self._folder / "Models" / inside
        match request.method, request.path.startswith(FOLDERS):
            case "PUT", False:
                if (name, version) not in self.pending:
                    raise Refused(403, "PERMISSION_DENIED", f"Version {version} of {name} is not to be changed.")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(request.body)
                return Answer(204, b"", {})
            case "GET" | "HEAD", False:
                return file_content(place)
            case "HEAD", True if place.is_dir():
                return Answer(200, b"", {})
            case "GET", True if place.is_dir():
                return as_json({"contents": [_entry(each, request.path) for each in sorted(place.iterdir())]})
        raise Refused(404, "NOT_FOUND", f"The path /Models/{inside} does not exist.")


def file_content(place: Path) -> Answer:
    """Return a file as an answer."""
    if not place.is_file():
        raise Refused(404, "NOT_FOUND", f"There is no file {place.name}.")
    headers = {"Content-Type": "application/octet-stream", "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}
    return Answer(200, place.read_bytes(), headers)


def _entry(place: Path, folder: str) -> dict[str, Any]:
    path = f"{folder.removeprefix('/api/2.0/fs/directories').rstrip('/')}/{place.name}"
    size = {} if place.is_dir() else {"file_size": place.stat().st_size}
    return {"path": path, "name": place.name, "is_directory": place.is_dir(), **size}
