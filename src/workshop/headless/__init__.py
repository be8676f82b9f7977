"""Runs the notebooks in order, without a person: what a pipeline calls and a laptop calls, one and the same."""

import sys

# The library that checks notebooks builds a grammar of web addresses with this one as it is imported, which takes
# longer than all else of it, and no notebook has a field that it would check. It does without where there is none.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
