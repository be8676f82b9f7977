"""Files that exist only in a test."""

from textwrap import dedent

from azure_devops_local.language.documents import FOLDER, Files


class Fake(Files):
    """A state of the repository: path from its root → text, dedented."""

    def __init__(self, texts: dict[str, str]) -> None:
        self.texts = {path: dedent(text).lstrip("\n") for path, text in texts.items()}

    def read(self, path: str) -> str | None:
        """Return the text of a file, or None where it does not exist."""
        return self.texts.get(path)

    def pipelines(self) -> list[str]:
        """Return the YAML files directly in the pipelines' folder, by name."""
        folder = f"{FOLDER}/"
        names = (path.removeprefix(folder) for path in self.texts if path.startswith(folder))
        return sorted(folder + name for name in names if name.endswith((".yml", ".yaml")) and "/" not in name)
