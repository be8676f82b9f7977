"""Checks of the rights on the wine tables and the registered model in a workspace."""

from collections.abc import Callable
from typing import TypeVar

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound

from workshop.core.errors import WorkshopError
from workshop.core.registry.backends import name_for_neither
from workshop.databricks.errors import explained
from workshop.databricks.sign_in import Identity
from workshop.doctor.grants import Rights
from workshop.doctor.report import Note

_MANAGING = ("CAN_MANAGE", "CAN_MANAGE_PRODUCTION_VERSIONS")
_WINES = ("development", "production")
T = TypeVar("T")


class Holdings:
    """The places of a run's tables and model, existing or not.

    Args:
        client: a signed-in client.
        identity: the identity it has signed in as.
        home: the folder in a volume, or empty.
        tables: the catalog and schema of the tables; empty for tables in the volume.
        model: the registered model.
    """

    def __init__(self, client: WorkspaceClient, identity: Identity, home: str, tables: str, model: str) -> None:
        self._client = client
        self._identity = identity
        self._home = home
        self._tables = tables
        self._model = model
        self._rights = Rights(client, identity)

    def catalog(self) -> str:
        """Check the right to use the catalogs."""
        names = {path.split(".")[0] for path in self._schemas}
        for name in sorted(names):
            self._rights.require("catalog", name, "USE_CATALOG")
        return f"USE CATALOG on {', '.join(sorted(names))}" if names else Note("nothing of Unity Catalog is used")

    def schema(self) -> str:
        """Check the right to use the schemas."""
        for name in self._schemas:
            self._rights.require("schema", name, "USE_SCHEMA")
        return f"USE SCHEMA on {', '.join(self._schemas)}" if self._schemas else Note("none is used")

    def volume(self) -> str:
        """Check the rights to the volume's files."""
        if not self._home:
            return Note("none is used")
        name = ".".join(self._home.split("/")[2:5])
        self._rights.require("volume", name, "READ_VOLUME", "WRITE_VOLUME")
        return f"{self._home} can be read and written"

    def tables(self) -> str:
        """Check the rights to tables in Unity Catalog."""
        if not self._tables:
            return f"kept in {self._home}, none in Unity Catalog"
        self._rights.require("schema", self._tables, "SELECT", "MODIFY", "CREATE_TABLE")
        return f"tables in {self._tables} can be made, read and written"

    def wines(self) -> str:
        """Check that the tables that every run starts from exist."""
        there = self._is_in_unity_catalog if self._tables else self._is_in_the_volume
        with explained("look for the tables of wine"):
            missing = [name for name in _WINES if not there(name)]
        if missing:
            made = "make them once, with `workshop run --target databricks --notebooks 0`"
            return Note(f"there is no table {' or '.join(missing)} yet: {made}")
        return f"the tables {' and '.join(_WINES)} are there"

    def _is_in_unity_catalog(self, name: str) -> bool:
        return bool(self._client.tables.exists(f"{self._tables}.{name}").table_exists)

    def _is_in_the_volume(self, name: str) -> bool:
        try:
            self._client.files.get_directory_metadata(f"{self._home}/data/{name}/_delta_log")
        except NotFound:
            return False
        return True

    def registered_model(self) -> str:
        """Check the right to register versions, and to move aliases or stages."""
        if self._model.count(".") != 2:
            return self._model_of_the_workspace()
        schema = self._model.rpartition(".")[0]
        self._rights.require("catalog", schema.partition(".")[0], "USE_CATALOG")
        self._rights.require("schema", schema, "USE_SCHEMA")
        with explained(f"look for the model {self._model}"):
            known = or_none(lambda: self._client.registered_models.get(self._model))
        if known is None:
            self._rights.require("schema", schema, "CREATE_MODEL")
            return f"{self._model} does not exist yet; CREATE MODEL on {schema}, and its creator owns it"
        if not self._rights.may_manage("function", self._model):
            raise WorkshopError(
                f"the model {self._model} belongs to {known.owner}, and only its owner registers versions and "
                f"moves aliases: let {known.owner} give {self._identity.name} MANAGE on it, in Catalog Explorer."
            )
        return f"{self._model} can be registered, loaded and aliased"

    def _model_of_the_workspace(self) -> str:
        if "." in self._model:
            raise WorkshopError(name_for_neither(self._model))
        with explained(f"look for the model {self._model}"):
            known = or_none(lambda: self._client.model_registry.get_model(self._model).registered_model_databricks)
        if known is None:
            return f"{self._model} does not exist yet, in the workspace's own registry; its creator manages it"
        level = known.permission_level.value if known.permission_level is not None else "none"
        if level not in _MANAGING:
            raise WorkshopError(
                f"{self._identity.name} has {level} on the model {self._model}, and moving stages needs CAN MANAGE: "
                "ask a user who manages it for that (Models > the model > Permissions)."
            )
        return f"{self._model} can be registered and moved between stages"

    @property
    def _schemas(self) -> list[str]:
        """Schemas of the volume, of the tables and of the model."""
        of_the_volume = ".".join(self._home.split("/")[2:4])
        of_the_model = self._model.rpartition(".")[0] if self._model.count(".") == 2 else ""
        return sorted({of_the_volume, self._tables, of_the_model} - {""})


def or_none(find: Callable[[], T]) -> T | None:
    """Return what `find` returns, or None where the service answers that it does not exist."""
    try:
        return find()
    except NotFound as error:
        if error.error_code in (None, "ENDPOINT_NOT_FOUND"):  # the answer is not from the service
            raise
        return None
    except BadRequest as error:
        if "does not exist" in str(error):
            return None
        raise
