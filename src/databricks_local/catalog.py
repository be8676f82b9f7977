"""Unity Catalog: its securables, the privileges on them, and the folders behind its volumes.

Source of the paths, the fields and the inheritance of privileges from catalog and schema: the SDK's docstrings of
`CatalogsAPI`, `SchemasAPI`, `VolumesAPI`, `TablesAPI`, `FilesAPI`, `RegisteredModelsAPI` and `GrantsAPI`. Our
reading: … _DOES_NOT_EXIST comes with 404; a missing privilege is 403; a table in a missing schema is 404.
/Volumes/CATALOG/SCHEMA/VOLUME is a folder for a principal with READ_VOLUME and WRITE_VOLUME, and does not
exist for any other (assumed from Databricks' documentation on volumes).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from databricks_local.answers import Answer, Principal, Refused, Request, Route, invalid

_SECURABLES = {"catalogs": "CATALOG", "schemas": "SCHEMA", "volumes": "VOLUME", "models": "MODEL"}
_LEVELS = {"CATALOG": 1, "SCHEMA": 2, "VOLUME": 3, "MODEL": 3}
_SAME = {"FUNCTION": "MODEL", "REGISTERED_MODEL": "MODEL"}
_EVERYTHING = {"ALL PRIVILEGES", "ALL_PRIVILEGES"}
Grants = dict[tuple[str, str], set[str]]


def everything() -> Grants:
    """Return the privileges of a workshop: the catalog main, the schema main.workshop, and in it the volume files."""
    return {
        ("CATALOG", "main"): {"USE_CATALOG"},
        ("SCHEMA", "main.workshop"): {
            *("USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE", "CREATE_MODEL", "CREATE_MODEL_VERSION", "EXECUTE"),
            *("READ_VOLUME", "WRITE_VOLUME"),
        },
        ("VOLUME", "main.workshop.files"): set(),
    }


class Catalog:
    """The securables, and the privileges that the workspace's principals have on them."""

    def __init__(self, root: Path, grants: Grants, principals: tuple[Principal, ...]) -> None:
        self.grants = grants
        self._root = root
        self._principals = {each.user_name for each in principals}
        self.no_volume = root / "no such volume"
        """The place of volumes that do not exist: a file, so that nothing can be created below it."""
        self._owners = root / "owners of models.json"
        self.tables: set[str] = set()
        """Full names of tables that exist; tables have no content here."""
        self.has_model: Callable[[str], bool] = lambda _: False
        """Whether a model of that name has been registered."""
        root.mkdir(parents=True, exist_ok=True)
        self.no_volume.write_text("", encoding="utf-8")
        self.mounts()

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        base = r"/api/2\.1/unity-catalog"
        return [
            ("GET", rf"{base}/(?P<kind>catalogs|schemas|volumes|models)/(?P<name>[^/]+)", self._get),
            ("GET", rf"{base}/tables/(?P<name>[^/]+)/exists", self._table_exists),
            ("HEAD", r"/api/2\.0/fs/directories(?P<path>/Volumes/.+)", self._directory),
            ("GET", rf"{base}/effective-permissions/(?P<kind>[^/]+)/(?P<name>[^/]+)", self._effective),
        ]

    def mounts(self) -> dict[str, str]:
        """Return the folder behind each volume that the principals may read and write."""
        found = {}
        for kind, name in self.grants:
            if kind == "VOLUME" and {"READ_VOLUME", "WRITE_VOLUME"} <= set(self._privileges(kind, name)):
                folder = self._root / "Volumes" / name.replace(".", "/")
                folder.mkdir(parents=True, exist_ok=True)
                found[f"/Volumes/{name.replace('.', '/')}"] = str(folder)
        return found

    def place(self, path: str) -> Path:
        """Return the place on this machine of a path in a volume."""
        for mount, folder in self.mounts().items():
            if PurePosixPath(path).is_relative_to(mount):
                return Path(folder) / PurePosixPath(path).relative_to(mount)
        return self.no_volume / path.lstrip("/")

    def allow(self, request: Request) -> None:
        """Refuse a call about a model in Unity Catalog that the caller has no right to.

        Creating one requires CREATE_MODEL on the schema; any other call requires USE_CATALOG and USE_SCHEMA only
        (assumed; further rights are not checked, since the creator of a model owns it).
        """
        if (call := request.path.partition("/mlflow/unity-catalog/")[2]) == "":
            return
        name = request.query.get("name") or str(request.json().get("name", ""))
        levels = name.split(".")
        if len(levels) != 3:
            return  # the registry refuses such a name
        schema = ".".join(levels[:2])
        self._require("CATALOG", levels[0])
        self._require("SCHEMA", schema)
        has = self._privileges("SCHEMA", schema)
        needed = ["USE_CATALOG", "USE_SCHEMA"]
        creates = (request.method, call) == ("POST", "registered-models/create")
        if creates:
            needed.append("CREATE_MODEL")
        for privilege in needed:
            if privilege not in has:
                verb, kind = privilege.split("_")
                on = f"Catalog '{levels[0]}'" if kind == "CATALOG" else f"Schema '{schema}'"
                raise Refused(403, "PERMISSION_DENIED", f"User does not have {verb} {kind} on {on}.")
        if creates and not self.has_model(name):
            self._own(name, request.who.user_name)

    def _own(self, model: str, principal: str) -> None:
        self._owners.write_text(json.dumps({**self._owners_of_models(), model: principal}), encoding="utf-8")

    def _owners_of_models(self) -> dict[str, str]:
        return dict(json.loads(self._owners.read_text("utf-8"))) if self._owners.exists() else {}

    def _privileges(self, kind: str, name: str) -> dict[str, tuple[str, str] | None]:
        """Return each privilege, and the securable that it is inherited from."""
        parts = name.split(".")
        chain = [("CATALOG", parts[0]), ("SCHEMA", ".".join(parts[:2])), (kind, name)][: _LEVELS[kind] - 1]
        found: dict[str, tuple[str, str] | None] = {}
        for above in chain:
            found.update(dict.fromkeys(map(_plain, self.grants.get(above, ())), above))
        found.update(dict.fromkeys(map(_plain, self.grants.get((kind, name), ()))))
        if "ALL_PRIVILEGES" in found:
            whence = found["ALL_PRIVILEGES"]
            for each in ("USE_CATALOG", "USE_SCHEMA", "READ_VOLUME", "WRITE_VOLUME", "EXECUTE", "SELECT", "MODIFY"):
                found.setdefault(each, whence)
            for each in ("CREATE_TABLE", "CREATE_MODEL", "CREATE_MODEL_VERSION", "CREATE_VOLUME"):
                found.setdefault(each, whence)
        return found

    def _require(self, kind: str, name: str) -> None:
        if name.count(".") + 1 != _LEVELS[kind]:
            raise invalid(f"{name!r} is not a valid name of a {kind.lower()}")
        if kind == "MODEL" and self.has_model(name):
            return
        if (kind, name) not in self.grants:
            raise Refused(404, f"{kind}_DOES_NOT_EXIST", f"{kind.capitalize()} '{name}' does not exist.")
        below = any(other.startswith(f"{name}.") and self._privileges(each, other) for each, other in self.grants)
        if not self._privileges(kind, name) and not below:
            raise Refused(403, "PERMISSION_DENIED", f"User does not have USE {kind} on {kind.capitalize()} '{name}'.")

    def _get(self, request: Request) -> dict[str, Any]:
        kind, name = _SECURABLES[request.parts["kind"]], request.parts["name"]
        self._require(kind, name)
        parts = name.split(".")
        owner = self._owners_of_models().get(name, "platform-team")
        described: dict[str, Any] = {"full_name": name, "name": parts[-1], "owner": owner}
        if len(parts) > 1:
            described["catalog_name"] = parts[0]
        if len(parts) > 2:
            described["schema_name"] = parts[1]
        if kind == "VOLUME":
            described.update(volume_type="MANAGED", volume_id="b1c2d3e4-0000-4000-8000-000000000001")
        return described

    def _table_exists(self, request: Request) -> dict[str, Any]:
        catalog, _, schema = request.parts["name"].rpartition(".")[0].partition(".")
        self._require("CATALOG", catalog)
        self._require("SCHEMA", f"{catalog}.{schema}")
        return {"table_exists": request.parts["name"] in self.tables}

    def _directory(self, request: Request) -> Answer:
        if not self.place(request.parts["path"]).is_dir():
            raise Refused(404, "NOT_FOUND", "The directory being accessed is not found.")
        return Answer(body=b"", headers={})

    def _effective(self, request: Request) -> dict[str, Any]:
        kind = request.parts["kind"].upper()
        kind = _SAME.get(kind, kind)
        if kind not in _LEVELS:
            raise invalid(f"{request.parts['kind']!r} is not a securable type of this workspace")
        self._require(kind, request.parts["name"])
        principal = request.query.get("principal", request.who.user_name)
        if principal not in self._principals:
            raise Refused(404, "PRINCIPAL_DOES_NOT_EXIST", f"Could not find principal with name {principal}.")
        found = self._privileges(kind, request.parts["name"])
        if not found:
            return {}
        return {
            "privilege_assignments": [{"principal": principal, "privileges": list(map(_assignment, found.items()))}]
        }


def _assignment(privilege: tuple[str, tuple[str, str] | None]) -> Mapping[str, str]:
    name, above = privilege
    return {"privilege": name, **({"inherited_from_type": above[0], "inherited_from_name": above[1]} if above else {})}


def _plain(privilege: str) -> str:
    """Return a privilege in the spelling with underscores."""
    return "ALL_PRIVILEGES" if privilege in _EVERYTHING else privilege.replace(" ", "_")
