"""The settings of the kit: `WORKSHOP_…` environment variables."""

import hashlib
import re
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import NonNegativeInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from workshop.core.errors import WorkshopError, explain_os_error

_UNFIT_FOR_DELTA = re.compile(r"[#?\[\]^|\\]|%[0-9a-fA-F]{2}")
_CATALOG_AND_SCHEMA = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
PREPARATION = "part_1_1_data_prep"
"""The notebook that writes a run's prepared wines."""
TRAINING = "part_1_2_training"
"""The notebook that registers a run's candidate."""
MOUNTS = (Path("/Volumes"), Path("/dbfs"))
"""Folders below which Databricks mounts cloud storage, without hard links and locks."""
PACKAGE = Path(__file__).resolve().parents[1]


def _repository() -> Path:
    """Return the checkout that this package is installed from, or else the current folder."""
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def is_mounted(path: Path) -> bool:
    """Return whether a path is in mounted cloud storage."""
    return any(path.is_relative_to(mount) for mount in MOUNTS)


def without_hard_links(path: Path) -> str:
    """Return the sentence for a folder whose file system has no hard links, which a table needs."""
    return f"The file system of {path} has no hard links, which tables need: set WORKSHOP_HOME to a local folder."


class Settings(BaseSettings):
    """The settings from the environment; the defaults suit a laptop."""

    model_config = SettingsConfigDict(env_prefix="WORKSHOP_", env_ignore_empty=True, frozen=True)

    home: Path = _repository() / ".workshop"
    """The folder for all data of the kit."""
    run_id: str = ""
    """The id of the run that this process belongs to; empty in Jupyter."""
    run_notebooks: str = ""
    """The names of that run's notebooks, separated by commas."""
    slots: Literal["alias", "stage"] = "alias"
    """The registry's form of slots: model aliases, or stages in an older registry."""
    experiments: str = "/Shared/workshop"
    """The workspace folder for MLflow's experiments on Databricks."""
    tables: str = ""
    """The catalog and schema of Unity Catalog for tables, as in `main.wines`; empty for folders below `data`."""
    spark_rows: NonNegativeInt | None = None
    """Fewest rows for which a table is scored with Spark if a session is active; None: more than fit into memory."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        try:
            home = home.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError("the home folder of that user is not found") from error
        if _UNFIT_FOR_DELTA.search(home.as_posix()):
            raise ValueError(
                "tables can't be kept in a folder with one of #?[]^| or %xx in its name: choose another folder"
            )
        return home

    @field_validator("tables")
    @classmethod
    def _catalog_and_schema(cls, tables: str) -> str:
        if tables and not _CATALOG_AND_SCHEMA.fullmatch(tables):
            raise ValueError("set it to a catalog and a schema of Unity Catalog, as in main.wines")
        return tables

    @property
    def data(self) -> Path:
        """The folder of the Delta tables."""
        return self.home / "data"

    @property
    def runs(self) -> Path:
        """The folder that contains one folder per run."""
        return self.home / "runs"

    def is_in_this_run(self, notebook: str) -> bool:
        """Return whether this process's run executes that notebook."""
        return notebook in self.run_notebooks.split(",")

    def lock_file(self, name: str) -> Path:
        """Return the path of the lock file `name`, and create its folder.

        The folder is below the home. If the home is mounted cloud storage, which has no locks, the folder is local and
        the lock separates only the processes of this machine.

        Raises:
            WorkshopError: the folder can't be created.
        """
        locks = self.home / "locks"
        if is_mounted(self.home):
            digest = hashlib.sha256(self.home.as_posix().encode()).hexdigest()[:16]
            locks = Path(tempfile.gettempdir()) / f"workshop-locks-{digest}"
        try:
            locks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error) from error
        return locks / f"{name}.lock"


def current_settings() -> Settings:
    """Read the settings from the present environment.

    Raises:
        WorkshopError: a variable has a wrong value.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"WORKSHOP_{str(first['loc'][0]).upper()}"
        problem = first["msg"].removeprefix("Value error, ").replace("Input", "it")
        raise WorkshopError(f"The environment variable {variable} is {str(first['input'])!r}: {problem}.") from error
