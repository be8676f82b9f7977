"""The pipeline files fit the schema that Azure DevOps' own editor uses."""

import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from azure_devops_local.language.documents import FOLDER
from workshop.core.settings import PACKAGE

pytestmark = pytest.mark.integration  # the vendor's checker is a process of its own

PIPELINES = PACKAGE.parents[1] / FOLDER
FILES = sorted(path.relative_to(PIPELINES) for path in PIPELINES.rglob("*.yml"))
CHECK = [
    "--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "python"
]  # fmt: skip


def as_a_pipeline(text: str, path: Path, folder: Path) -> Path:
    """A file that can be checked: pipelines as they are, of a template the steps in a pipeline of their own."""
    yaml = YAML()
    yaml.width = 1000  # a longer key would be broken, and then be no key
    document = yaml.load(text)
    file = folder / str(path).replace("/", "-")
    if path.parent == Path() and "jobs" in document:
        file.write_text(text, encoding="utf-8")
    else:
        only = {"variables": document.get("variables", []), "steps": document.get("steps", [{"bash": "true"}])}
        yaml.dump({"trigger": "none", **only}, file)
    return file


def errors(*paths: Path) -> str:
    """What the check has against these files; empty where it has nothing."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *CHECK, *map(str, paths)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_pipeline_and_template_fits_the_vendors_schema(tmp_path: Path) -> None:
    assert len(FILES) >= 8
    texts = {path: (PIPELINES / path).read_text(encoding="utf-8") for path in FILES}
    assert errors(*[as_a_pipeline(text, path, tmp_path) for path, text in texts.items()]) == ""


def test_the_schema_sees_a_key_that_is_none(tmp_path: Path) -> None:
    text = (PIPELINES / "ci.yml").read_text(encoding="utf-8")
    broken = as_a_pipeline(text.replace("timeoutInMinutes", "timeoutinMinutes"), Path("ci.yml"), tmp_path)
    assert "timeoutinMinutes" in errors(broken)
