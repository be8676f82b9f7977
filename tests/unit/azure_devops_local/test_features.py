from pathlib import Path

import azure_devops_local
from azure_devops_local import features

README = Path(azure_devops_local.__file__).parent / "README.md"


def test_the_readme_has_the_table_of_the_code() -> None:
    assert features.table() in README.read_text(encoding="utf-8")
