"""`workshop docs`: open the site that `make docs` has built."""

import webbrowser

import typer

from workshop.cli.git_filter import CHECKOUT
from workshop.core.errors import WorkshopError

app = typer.Typer()
_FIRST_PAGE = CHECKOUT / ".site" / "html" / "docs" / "index.html"


@app.command()
def docs() -> None:
    """Open the course in a browser, from disk; `make docs` builds it."""
    if not _FIRST_PAGE.is_file():
        raise WorkshopError(f"The site is not built ({_FIRST_PAGE} is missing): run `make docs` first.")
    print(_FIRST_PAGE, flush=True)
    webbrowser.open(_FIRST_PAGE.as_uri())
