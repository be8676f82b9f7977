"""The bundle: the same job as a file, for teams that deploy with the Databricks CLI.

The job itself comes from `job.job`; only the bundle's own parts are here: its variables, the wheel's build and the two
targets.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from workshop.core.errors import WorkshopError, explain_os_error
from workshop.core.parameters import DevopsAction
from workshop.core.settings import PACKAGE, current_settings
from workshop.databricks import job, upload
from workshop.databricks.job import Work
from workshop.databricks.settings import DatabricksSettings
from workshop.runner import notebooks

FILE = "databricks.yml"
MODEL = "main.workshop.wine_quality"
"""The default of `--model`."""
_CHECKOUT = PACKAGE.parents[1]
_HEADER = """\
# Made by `workshop databricks bundle` from the job that `workshop run --target databricks` submits: change the settings
# and run it again; changes in this file are lost (docs/databricks.md). Deploy it with `databricks bundle deploy`.
# {settings}
"""
_OF_THE_COMPUTE = {
    "cluster_id": "The existing cluster.",
    "node_type": "The job cluster's machines.",
    "spark_version": "The job cluster's runtime.",
    "environment_version": "The version of the serverless environment.",
}
_WHEEL = "dist/*.whl"
_BUILD = "python -m hatchling build --target wheel --clean --directory dist"
_ONLY_A_COMMIT = f"git diff --stat --exit-code HEAD && {_BUILD}"
"""Prints the files that differ from the commit, and builds nothing if there are any."""


def text(settings: DatabricksSettings, model_name: str = MODEL, *, scoring: bool = False) -> str:
    """Return the content of the file.

    Args:
        settings: the compute is built into the job; the rest becomes the variables' defaults.
        model_name: the registered model; whether it is in Unity Catalog is built into the job.
        scoring: add 1_4 at the end.
    """
    yaml = YAML()
    yaml.width = 1000
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = io.StringIO()
    yaml.dump(document(settings, model_name, scoring=scoring), written)
    how = f"--model {model_name}{' --scoring' if scoring else ''}, compute {settings.compute}"
    return _HEADER.format(settings=f"It was made with {how}.") + written.getvalue()


def write(content: str) -> Path:
    """Write the file into the checkout."""
    path = place()
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise explain_os_error(error) from error
    return path


def check(content: str) -> Path:
    """Check that the checkout's file has this content."""
    path = place()
    if not path.is_file() or path.read_bytes() != content.encode("utf-8"):
        raise WorkshopError(
            f"{path} does not match these settings: run `workshop databricks bundle` with the same options, and "
            "commit the file."
        )
    return path


def place() -> Path:
    """Return the path of the file."""
    if not (_CHECKOUT / "pyproject.toml").is_file():
        raise WorkshopError("A bundle deploys a checkout, and this is not one: clone the repository, and run it there.")
    return _CHECKOUT / FILE


def document(settings: DatabricksSettings, model_name: str = MODEL, *, scoring: bool = False) -> dict[str, Any]:
    """Return the file's document; see `text`."""
    # A bundle contains its notebooks.
    references = {"code": "upload", **{name: f"${{var.{name}}}" for name in _OF_THE_COMPUTE}}
    made = _as_plain(job.job(_work(settings, model_name, scoring), settings.model_copy(update=references)))
    for task in made["tasks"]:
        task["notebook_task"]["notebook_path"] += ".ipynb"  # which only the workspace omits
    used = {"service_principal", *re.findall(r"\$\{var\.(\w+)\}", json.dumps(made))}
    return {
        "bundle": {"name": "workshop"},
        "variables": {name: each for name, each in _variables(settings, model_name).items() if name in used},
        "artifacts": {"workshop": {"type": "whl", "path": ".", "build": _BUILD, "dynamic_version": True}},
        "sync": {"paths": [upload.NOTEBOOKS]},
        "resources": {"jobs": {"workshop": made}},
        "targets": {
            "dev": {
                "default": True,
                "mode": "development",
                "variables": {
                    "action": DevopsAction.INTEGRATION.value,
                    "run_name": "${workspace.current_user.short_name}",
                    "service_principal": "",
                    **({"slot": ""} if scoring else {}),
                },
            },
            "prod": {
                "mode": "production",
                "workspace": {"root_path": f"{settings.folder}/bundle/${{bundle.target}}"},
                "run_as": {"service_principal_name": "${var.service_principal}"},
                "variables": {
                    "action": DevopsAction.DEPLOYMENT.value,
                    "run_name": "main",
                    **({"slot": "production"} if scoring else {}),
                },
                "artifacts": {"workshop": {"build": _ONLY_A_COMMIT}},
            },
        },
    }


def _work(settings: DatabricksSettings, model_name: str, scoring: bool) -> Work:
    """Return the work of a run, with references in place of values."""
    of_the_run = {
        "run_name": "${var.run_name}",
        "model_name": "${var.model_name}",
        "devops_action": "${var.action}",
        "compare_only": "false",
        "slot": "${var.slot}",
    }
    chosen = notebooks.select(scoring=scoring)
    variables = {"WORKSHOP_HOME": "home", "WORKSHOP_TABLES": "tables", "WORKSHOP_EXPERIMENTS": "experiments"}
    given = job.environment(settings, model_name)
    if not current_settings().tables:
        given = {"WORKSHOP_HOME": "", **given}
    environment = {
        **{name: f"${{var.{variables[name]}}}" if name in variables else value for name, value in given.items()},
        job.RUN_ID: "{{job.run_id}}",
        job.COMMIT: "${bundle.git.commit}",
        "WORKSHOP_REQUESTED_FOR": "${workspace.current_user.userName}",
        "WORKSHOP_RUN_NOTEBOOKS": ",".join(notebook.name for notebook in chosen),
    }
    return Work(
        title="workshop ${var.action} ${var.model_name}",
        base_parameters={
            notebook.name: {
                **environment,
                **{name: value for name, value in of_the_run.items() if name in notebook.declared()},
            }
            for notebook in chosen
        },
        notebook_folder=f"./{upload.NOTEBOOKS}",
        requirements=(f"./{_WHEEL}", *upload.pins(_CHECKOUT)),
        commit="${bundle.git.commit}",
    )


def _variables(settings: DatabricksSettings, model_name: str) -> dict[str, Any]:
    """Return all variables; a bundle declares those that it uses."""
    defaults: dict[str, tuple[str, str | None]] = {
        "action": ("What a run is for: Integration or Deployment.", None),
        "run_name": ("Keeps one person's files, experiment and candidates apart from another's.", None),
        "model_name": ("The registered model; run the command again for the other registry.", model_name),
        "home": ("A folder in a volume, as in /Volumes/catalog/schema/volume.", None),
        "tables": ("The catalog and schema of the tables.", current_settings().tables),
        "slot": ("The slot that 1_4 scores with; empty for the default.", None),
        "experiments": ("The workspace folder of MLflow's experiments.", current_settings().experiments),
        "service_principal": ("The application id of the service principal that prod runs as.", None),
        **{name: (text, getattr(settings, name) or None) for name, text in _OF_THE_COMPUTE.items()},
    }
    return {
        name: {"description": description, **({} if default is None else {"default": default})}
        for name, (description, default) in defaults.items()
    }


def _as_plain(value: Any) -> Any:
    """Convert the SDK's objects to dictionaries and lists."""
    if hasattr(value, "as_dict"):
        return value.as_dict()
    if isinstance(value, dict):
        return {name: _as_plain(each) for name, each in value.items()}
    return [_as_plain(each) for each in value] if isinstance(value, list) else value
