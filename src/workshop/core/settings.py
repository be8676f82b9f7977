"""Where the kit keeps its state and how it is set: `WORKSHOP_…` environment variables."""

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
"""Where Databricks shows cloud storage as folders: without hard links and locks, and never a laptop's own."""
PACKAGE = Path(__file__).resolve().parents[1]


def _repository() -> Path:
    """The checkout that this package is installed from, or the current folder where there is none."""
    checkout = PACKAGE.parents[1]
    return checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()


def is_mounted(path: Path) -> bool:
    """Whether a path leads into cloud storage that is mounted as a folder."""
    return any(path.is_relative_to(mount) for mount in MOUNTS)


def without_hard_links(path: Path) -> str:
    """Return the sentence for a folder whose file system has no hard links, which a table needs."""
    return f"The file system of {path} has no hard links, which tables need: set WORKSHOP_HOME to a local folder."


class Settings(BaseSettings):
    """What the environment says; every field has a default with which a laptop works."""

    model_config = SettingsConfigDict(env_prefix="WORKSHOP_", env_ignore_empty=True, frozen=True)

    home: Path = _repository() / ".workshop"
    """The folder that holds everything a run leaves behind."""
    run_id: str = ""
    """The run that this process is part of; empty when a person works in Jupyter."""
    run_notebooks: str = ""
    """The notebooks of that run, by name and separated by commas."""
    slots: Literal["alias", "stage"] = "alias"
    """How the registry names its slots: model aliases, or stages where a team's registry still uses them."""
    experiments: str = "/Shared/workshop"
    """The workspace folder of MLflow's experiments, where runs are recorded on Databricks."""
    tables: str = ""
    """The catalog and schema, as in `main.wines`, of Unity Catalog in which tables are kept; empty: folders below
    `data`."""
    spark_rows: NonNegativeInt | None = None
    """From how many rows on a table is scored with Spark where a session is active; None: from where it would not fit
    into the memory that is free."""

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        try:
            home = home.expanduser().absolute()
        except RuntimeError as error:
            raise ValueError("nobody of that name has a home folder") from error
        if _UNFIT_FOR_DELTA.search(home.as_posix()):
            raise ValueError(
                "tables can't be kept in a folder with one of #?[]^| or %xx in its name: choose another folder"
            )
        return home

    @field_validator("tables")
    @classmethod
    def _catalog_and_schema(cls, tables: str) -> str:
        if tables and not _CATALOG_AND_SCHEMA.fullmatch(tables):
            raise ValueError("it names a catalog and a schema of Unity Catalog, as in main.wines")
        return tables

    @property
    def data(self) -> Path:
        """The folder of the Delta tables."""
        return self.home / "data"

    @property
    def runs(self) -> Path:
        """The folder with one folder per run."""
        return self.home / "runs"

    def is_in_this_run(self, notebook: str) -> bool:
        """Return whether the run that this process is part of executes that notebook."""
        return notebook in self.run_notebooks.split(",")

    def lock_file(self, name: str) -> Path:
        """The path of the lock file `name`, in a folder that exists.

        It is below the home, unless that is mounted cloud storage, which knows no locks. Then it is this machine's, and
        keeps only its own processes apart.

        Raises:
            WorkshopError: the folder cannot be made.
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
    """Read the settings from the environment as it is now.

    Raises:
        WorkshopError: a variable has a value that it cannot have.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        variable = f"WORKSHOP_{str(first['loc'][0]).upper()}"
        problem = first["msg"].removeprefix("Value error, ").replace("Input", "it")
        raise WorkshopError(f"The environment variable {variable} is {str(first['input'])!r}: {problem}.") from error
