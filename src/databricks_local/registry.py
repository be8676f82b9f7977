"""MLflow as Databricks has it: experiments at workspace paths, the workspace registry, and models in Unity Catalog.

A real `mlflow server` keeps all of it. The server must not hand out artifacts itself (`--no-serve-artifacts`, a `file:`
artifact root): MLflow refuses `mlflow-artifacts:` locations for a `databricks` tracking URI. The modules here translate
requests, and refuse what the service refuses.

Differences from the service:

- Run artifacts are files of this machine; the service keeps them in its own storage, below `dbfs:/databricks`. MLflow
  treats them as a downloaded copy when it registers a model in Unity Catalog, and then removes them: here, it removes
  the run's own copy. The registered copy is a separate one, as on the service.
- Files of models in Unity Catalog always go through the Files API. The service may choose its cloud storage with
  temporary credentials instead, which needs a cloud.
- The workspace registry copies a version's files when it is registered; here, they stay where the run has them.
- Both registries use the same `mlflow server`; a name with three levels belongs to Unity Catalog.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from databricks_local.answers import Answer, Refused, Request
from databricks_local.mlflow_backend import MLFLOW, MlflowBackend
from databricks_local.model_files import FILES, FOLDERS
from databricks_local.unity_catalog_models import UNITY_CATALOG, UnityCatalogModels
from databricks_local.workspace_registry import SIGNED, WorkspaceRegistry


@dataclass
class Registry:
    """The MLflow part of a workspace's REST API."""

    mlflow_uri: str
    folder: Path
    """Keeps the files of models in Unity Catalog."""
    folder_exists: Callable[[str], bool]
    """Whether a workspace folder is at a path such as `/Shared/workshop`."""
    deny: set[str] = field(default_factory=set)
    """Schemas, as `catalog.schema`, that no caller may use."""

    def __post_init__(self) -> None:
        """Open the two registries."""
        backend = MlflowBackend(self.mlflow_uri)
        self.workspace = WorkspaceRegistry(backend, self.folder_exists)
        self.unity_catalog = UnityCatalogModels(backend, self.folder, self.deny)

    def answer(self, request: Request) -> Answer | None:
        """Answer a request whose caller has signed in; None for a path that is not MLflow's."""
        try:
            if request.path.startswith(UNITY_CATALOG):
                return self.unity_catalog.answer(request)
            if request.path.startswith((FILES, FOLDERS)):
                return self.unity_catalog.files.answer(request)
            if request.path == SIGNED:
                return self.workspace.download(request)
            if request.path.startswith((MLFLOW, "/api/3.0/mlflow/", "/api/2.0/mlflow-artifacts/")):
                return self.workspace.answer(request)
        except Refused as refused:
            return refused.answer()
        return None
