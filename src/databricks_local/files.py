"""The workspace's files and folders, and its volumes.

Where the rules are from:

- RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, DIRECTORY_NOT_EMPTY, MAX_NOTEBOOK_SIZE_EXCEEDED (above 10 MB);
  paths are absolute; mkdirs creates the parents; AUTO removes a notebook's extension: the SDK's `WorkspaceAPI`.
- The multipart form of an import: the SDK, `mixins/workspace.py`.
- /Workspace in front of a path changes nothing: Databricks' documentation on workspace files.
- Assumed: the limit applies to posted files; a missing parent folder is 404; a folder without rights is 403; AUTO and
  JUPYTER both remove the extension .ipynb; an answer contains a path as it was requested.
"""

import base64
import binascii
import json
import re
import shutil
import threading
from pathlib import Path, PurePosixPath
from typing import Any

from databricks_local import bodies
from databricks_local.answers import Refused, Request, Route, invalid

_LIMIT = 10 * 1024 * 1024
_SOURCE_HEADER = b"# Databricks notebook source"


class WorkspaceFiles:
    """The objects under /Workspace, kept under `root` as files; a notebook is kept with its extension."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.forbidden_folders: set[str] = set()
        """Folders where the caller may not write, as in "/Workspace/Shared/theirs"."""
        self._notebooks: dict[str, str] = {}
        """The path of each notebook without /Workspace, and the extension of the file that keeps it."""
        self._lock = threading.RLock()
        for folder in ("Shared", "Users", "Repos"):
            (root / "Workspace" / folder).mkdir(parents=True, exist_ok=True)

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        return [
            ("POST", r"/api/2\.0/workspace/mkdirs", self._mkdirs),
            ("POST", r"/api/2\.0/workspace/import", self._import),
            ("POST", r"/api/2\.0/workspace/delete", self._delete),
            ("GET", r"/api/2\.0/workspace/get-status", self._status),
            ("GET", r"/api/2\.0/workspace/list", self._list),
            ("GET", r"/api/2\.0/workspace/export", self._export),
        ]

    def folder_exists(self, path: str) -> bool:
        """Return whether a folder is at this workspace path."""
        return self.object_type(path) == "DIRECTORY"

    def object_type(self, path: str) -> str | None:
        """Return NOTEBOOK, FILE, DIRECTORY, or None if it is missing."""
        key = _key(path)
        with self._lock:
            if key in self._notebooks:
                return "NOTEBOOK"
            place = self._plain(key)
            if place.is_dir():
                return "DIRECTORY"
            return "FILE" if place.is_file() and not self._is_kept_notebook(key) else None

    def place(self, path: str) -> Path:
        """Return the place on this machine of the object at this path."""
        key = _key(path)
        plain = self._plain(key)
        return plain.with_name(plain.name + self._notebooks[key]) if key in self._notebooks else plain

    def _plain(self, key: str) -> Path:
        return self.root / "Workspace" / key.lstrip("/")

    def _is_kept_notebook(self, key: str) -> bool:
        return any(
            key.endswith(extension) and self._notebooks.get(key.removesuffix(extension)) == extension
            for extension in (".ipynb", ".py")
        )

    def _require_right(self, path: str) -> None:
        key = PurePosixPath(_key(path))
        for folder in self.forbidden_folders:
            if key.is_relative_to(_key(folder)):
                raise Refused(403, "PERMISSION_DENIED", f"User does not have permission to write to {folder}.")

    def _mkdirs(self, request: Request) -> dict[str, Any]:
        path = bodies.read(bodies.Mkdirs, request.json()).path
        key = PurePosixPath(_key(path))
        self._require_right(path)
        with self._lock:
            for each in (*reversed(key.parents), key):
                if self.object_type(str(each)) in ("NOTEBOOK", "FILE"):
                    raise Refused(400, "RESOURCE_ALREADY_EXISTS", f"Node named '{each.name}' already exists")
            self._plain(str(key)).mkdir(parents=True, exist_ok=True)
        return {}

    def _import(self, request: Request) -> dict[str, Any]:
        body, content = _import_body(request)
        if len(content) > _LIMIT:
            raise Refused(
                400,
                "MAX_NOTEBOOK_SIZE_EXCEEDED",
                f"File size imported is ({len(content)} bytes), exceeded max size ({_LIMIT} bytes)",
            )
        key = _key(body.path)
        self._require_right(body.path)
        extension = _notebook_extension(body, content)
        if extension is not None:
            key = key.removesuffix(extension)
        with self._lock:
            if self.object_type(str(PurePosixPath(key).parent)) != "DIRECTORY":
                folder = PurePosixPath(body.path).parent
                raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"The parent folder ({folder}) does not exist.")
            there = self.object_type(key)
            if there == "DIRECTORY" or (there is not None and not body.overwrite):
                raise Refused(400, "RESOURCE_ALREADY_EXISTS", f"{body.path} already exists.")
            if there is not None:
                self._remove(key)
            if extension is not None:
                self._notebooks[key] = extension
            self.place(key).write_bytes(content)
        return {}

    def _delete(self, request: Request) -> dict[str, Any]:
        body = bodies.read(bodies.Delete, request.json())
        key = _key(body.path)
        self._require_right(body.path)
        with self._lock:
            kind = self._require(body.path)
            if kind == "DIRECTORY" and any(self._plain(key).iterdir()) and not body.recursive:
                raise Refused(
                    400, "DIRECTORY_NOT_EMPTY", f"Folder ({body.path}) is not empty and recursive is set to false."
                )
            self._remove(key)
        return {}

    def _remove(self, key: str) -> None:
        place = self.place(key)
        if place.is_dir():
            shutil.rmtree(place)
            for notebook in [each for each in self._notebooks if PurePosixPath(each).is_relative_to(key)]:
                del self._notebooks[notebook]
        else:
            place.unlink()
            self._notebooks.pop(key, None)

    def _status(self, request: Request) -> dict[str, Any]:
        path = _asked_for(request)
        with self._lock:
            return self._described(path, self._require(path))

    def _list(self, request: Request) -> dict[str, Any]:
        path = _asked_for(request)
        with self._lock:
            kind = self._require(path)
            if kind != "DIRECTORY":
                return {"objects": [self._described(path, kind)]}
            found = {}
            for place in sorted(self._plain(_key(path)).iterdir()):
                name = place.name
                if self._is_kept_notebook(_key(f"{path}/{name}")):
                    name = place.stem
                found[name] = self._described(f"{path.rstrip('/')}/{name}", self._require(f"{path}/{name}"))
        return {"objects": list(found.values())} if found else {}

    def _export(self, request: Request) -> dict[str, Any]:
        path = _asked_for(request)
        if self._require(path) == "DIRECTORY":
            raise invalid("This workspace exports no folders.")
        return {"content": base64.b64encode(self.place(path).read_bytes()).decode(), "file_type": "auto"}

    def _require(self, path: str) -> str:
        kind = self.object_type(path)
        if kind is None:
            raise Refused(404, "RESOURCE_DOES_NOT_EXIST", f"Path ({path}) doesn't exist.")
        return kind

    def _described(self, path: str, kind: str) -> dict[str, Any]:
        stat = self.place(path).stat()
        number = stat.st_ino
        described: dict[str, Any] = {"object_type": kind, "path": path, "object_id": number, "resource_id": str(number)}
        if kind == "NOTEBOOK":
            described["language"] = "PYTHON"
        if kind == "FILE":
            times = {"created_at": int(stat.st_ctime * 1000), "modified_at": int(stat.st_mtime * 1000)}
            described.update(times, size=stat.st_size)
        return described


def _key(path: str) -> str:
    """Return the path without /Workspace and without a slash at its end."""
    if not path.startswith("/"):
        raise invalid(f"Path ({path}) must be absolute and start with '/'")
    parts = PurePosixPath(path).parts
    if ".." in parts:
        raise invalid(f"Path ({path}) must not contain '..'")
    short = "/" + "/".join(parts[1:])
    return short.removeprefix("/Workspace") or "/" if re.match(r"/Workspace(/|$)", short) else short


def _asked_for(request: Request) -> str:
    if "path" not in request.query:
        raise invalid("Missing required field: path")
    return request.query["path"]


def _import_body(request: Request) -> tuple[bodies.Import, bytes]:
    """Return the fields and the content of a request, which is JSON or a form with a posted file."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        body = bodies.read(bodies.Import, request.json())
        try:
            return body, base64.b64decode(body.content or "", validate=True)
        except binascii.Error as error:
            raise invalid("Invalid value for field content: it is not base64") from error
    fields: dict[str, Any] = {}
    content = b""
    found = re.search(r'boundary="?([^";]+)', kind)
    boundary = found.group(1) if found else ""
    for part in request.body.split(f"--{boundary}".encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]+)"', head)
        assert name is not None, head
        value = value.removesuffix(b"\r\n")
        if name.group(1) == b"content":
            content = value
        else:
            fields[name.group(1).decode()] = value.decode()
    if "overwrite" in fields:
        fields["overwrite"] = {"true": True, "false": False}.get(fields["overwrite"], fields["overwrite"])
    return bodies.read(bodies.Import, fields), content


def _notebook_extension(body: bodies.Import, content: bytes) -> str | None:
    """Return the extension of the file that keeps the notebook; None if the content becomes a plain file.

    Raises:
        Refused: the content is not of the format.
    """
    is_jupyter = body.path.endswith(".ipynb")
    if body.format == "JUPYTER" or (body.format == "AUTO" and is_jupyter):
        try:
            cells = json.loads(content)["cells"]
        except (ValueError, KeyError, TypeError) as error:
            raise invalid("The notebook could not be parsed: it is not a Jupyter notebook") from error
        if not isinstance(cells, list):
            raise invalid("The notebook could not be parsed: it is not a Jupyter notebook")
        return ".ipynb"
    if body.format == "AUTO":
        return ".py" if body.path.endswith(".py") and content.startswith(_SOURCE_HEADER) else None
    if body.format == "SOURCE":
        if body.language is None:
            raise invalid("The language field is required to import a single file as SOURCE.")
        return ".py"
    if body.format == "RAW":
        return None
    raise invalid(f"This workspace imports nothing as {body.format}.")
