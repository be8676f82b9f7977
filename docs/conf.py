"""Sphinx's settings; `make docs` (docs/build.py) calls Sphinx on a copy of the pages, with executed notebooks."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from typing_extensions import override

project = html_title = "The workshop"
author = "the contributors"
root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "src/**.md", "src/workshop/notebooks/*.ipynb"]
exclude_patterns = ["docs/*.py", "docs/_*"]
extensions = ["myst_nb", "sphinx_design", "sphinx_copybutton"]

myst_enable_extensions = ["colon_fence", "attrs_inline"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, object] = {}
"""Nothing is loaded from another host; the notebooks have no widgets."""

html_theme = "furo"
html_static_path = ["_static"]
templates_path = ["_templates"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_use_index = False
html_domain_indices = False

# What is copied from a listing is its commands, without the prompt, the output and the comments.
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"
copybutton_only_copy_prompt_lines = True


_PARTS = [f"docs/part_{part}" for part in range(6)]
CONTENTS = {
    "docs/index": {
        "The course": [
            *_PARTS,
            *(f"docs/{name}" for name in ("exercises", "troubleshooting", "glossary", "instructors", "original")),
        ],
        "The notebooks": ["src/workshop/notebooks/part_*"],
        "Reference": [
            *(f"docs/{name}" for name in ("promotion", "pipelines", "databricks", "reference", "architecture")),
            "docs/decisions/README",
            "src/azure_devops_local/README",
            "src/databricks_local/README",
        ],
        "The kit": ["README", "CONTRIBUTING", "CHANGELOG", "src/workshop/originals/ATTRIBUTION"],
    },
    "docs/decisions/README": {"": ["docs/decisions/[0-9]*"]},
}
"""The order of the pages. It is here and not in the pages, which are also read as plain Markdown."""


def add_contents(app: Sphinx, page: str, text: list[str]) -> None:
    """Append the table of contents, hidden, to the pages that have one."""
    for caption, entries in CONTENTS.get(page, {}).items():
        found = [f"/{each}" for each in entries if list(app.srcdir.glob(f"{each}.*"))]
        options = [":hidden:", ":glob:", *([f":caption: {caption}"] if caption else [])]
        text[0] += "\n".join(["", "", "```{toctree}", *options, "", *found, "```", ""])


class InlinePictures(SphinxPostTransform):
    """Put the drawings of docs/pictures.py into the pages, where they follow the theme that the reader chooses."""

    default_priority = 5  # before Sphinx copies the files of images
    formats = ("html",)

    @override
    def run(self, **kwargs: object) -> None:
        for image in list(self.document.findall(nodes.image)):
            path = Path(self.env.srcdir, image["uri"])
            if path.suffix == ".svg" and path.parent.name == "images":
                label = nodes.Text(image.get("alt", "")).astext().replace('"', "&quot;")
                text = re.sub(r"<title>.*?</title>\n", "", path.read_text(encoding="utf-8"))
                text = text.replace('role="img"', f'role="img" aria-label="{label}"', 1)
                image.replace_self(nodes.raw("", text, format="html"))


def setup(app: Sphinx) -> None:
    """Register the transform and the contents."""
    app.connect("source-read", add_contents)
    app.add_post_transform(InlinePictures)
