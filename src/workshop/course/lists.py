"""The lists of criteria in the pages: `python -m workshop.course.lists` writes them."""

from pathlib import Path

from workshop.course import checking

DOCS = Path(__file__).resolve().parents[3] / "docs"


def outdated(docs: Path = DOCS) -> dict[Path, str]:
    """Return the pages of the parts whose list is not that of the criteria, each with its right text."""
    found = {}
    for part in range(len(checking.PARTS)):
        page = docs / f"part_{part}.md"
        if page.is_file():
            text = page.read_text(encoding="utf-8")
            if (right := checking.with_criteria(text, part)) != text:
                found[page] = right
    return found


if __name__ == "__main__":
    for path, right_text in outdated().items():
        path.write_text(right_text, encoding="utf-8")
        print(f"{path} is written.")
