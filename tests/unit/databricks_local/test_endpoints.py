"""The package's README names every endpoint, as `python -m databricks_local.endpoints` prints them."""

from databricks_local import endpoints
from workshop.core.settings import PACKAGE


def test_the_readme_has_the_table_of_endpoints() -> None:
    readme = (PACKAGE.parent / "databricks_local" / "README.md").read_text(encoding="utf-8")
    written = readme.partition("<!-- endpoints -->\n")[2].partition("\n<!-- end")[0]
    assert written == endpoints.table(), "print it with `python -m databricks_local.endpoints`"
