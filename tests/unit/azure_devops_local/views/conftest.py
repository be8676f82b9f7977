"""The pages, served for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.support.web_site import Site, serving


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Serve the pages for all tests; each request finds the home of its test."""
    with serving() as site:
        yield site
