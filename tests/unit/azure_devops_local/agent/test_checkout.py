"""The checkout of a commit, and its environment."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import packaging
import pytest

from azure_devops_local import run_store
from azure_devops_local.agent import agent, checkout
from tests.support import laptop
from workshop.core.settings import PACKAGE

STEPS = """
steps:
- bash: |
    git rev-parse HEAD; git remote get-url origin; git status --porcelain --branch; git config core.hooksPath
  displayName: look
"""


def test_exactly_the_commit_is_checked_out(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "my repository", STEPS)
    run = laptop.queued(folder)
    laptop.commit(folder, "steps: [{bash: exit 1}]", later="x")
    (folder / "uncommitted").write_text("x", encoding="utf-8")
    agent.execute(run, folder, laptop.reject)
    assert laptop.log_of(run, "look").splitlines() == [run.commit, str(folder), "## HEAD (no branch)", "/dev/null"]


def test_a_commit_that_no_branch_holds_is_checked_out_too(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", STEPS)
    laptop.commit(folder, STEPS, more="x")
    run = laptop.queued(folder)
    laptop.git(folder, "reset", "--quiet", "--hard", "HEAD~1")
    agent.execute(run, folder, laptop.reject)
    assert laptop.log_of(run, "look").splitlines()[0] == run.commit


def test_a_shallow_checkout_has_that_commit_alone(tmp_path: Path) -> None:
    steps = """
steps:
- {checkout: self, fetchDepth: 1, fetchTags: false}
- {bash: 'git rev-list HEAD; git tag', displayName: look}
"""
    folder = laptop.repository(tmp_path / "repository", steps)
    laptop.git(folder, "tag", "first")
    laptop.commit(folder, steps, more="x")
    run = laptop.queued(folder)
    laptop.git(folder, "reset", "--quiet", "--hard", "HEAD~1")
    agent.execute(run, folder, laptop.reject)
    assert laptop.log_of(run, "look").splitlines() == [run.commit]


def test_no_hook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = laptop.repository(tmp_path / "repository", STEPS)
    templates = tmp_path / "templates"
    for hooks in (folder / ".git" / "hooks", templates / "hooks"):
        hooks.mkdir(parents=True, exist_ok=True)
        (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch '{tmp_path}/pwned'\n", encoding="utf-8")
        (hooks / "post-checkout").chmod(0o755)
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(templates))
    assert laptop.execute(folder).result == "succeeded"
    assert not (tmp_path / "pwned").exists()


def test_a_missing_commit_is_the_problem_of_the_run(tmp_path: Path) -> None:
    folder = laptop.repository(tmp_path / "repository", STEPS)
    run = laptop.queued(folder)
    run.commit = "f" * 40
    assert "there is no file" in agent.execute(run, folder, laptop.reject).problem


def test_the_first_package_in_another_version_is_named() -> None:
    installed = importlib.metadata.version("packaging")
    pins = f"# made by hand\npackaging=={installed} \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via x\n"
    assert checkout.difference(pins) == ""
    assert checkout.difference(f"{pins}pywin32==1 ; sys_platform == 'win32'\n") == ""
    assert "packaging==0.1, and" in checkout.difference("packaging==0.1 --hash=sha256:00\n")
    assert "not installed" in checkout.difference("no-such-package==1\n")
    assert "can't read" in checkout.difference("-r other.txt\n")


def test_other_packages_get_an_environment_of_their_own(tmp_path: Path) -> None:
    files = {"requirements.txt": "packaging==0.1\n", "pyproject.toml": ""}
    folder = laptop.repository(tmp_path / "repository", "steps: [{bash: test ! -e .venv}]", **files)
    done = laptop.execute(folder)
    assert done.result == "succeeded"
    assert any("packaging==0.1" in notice for notice in done.notices)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("#!{bin}/python3\nprint(1)\n", "#!{new}/python\nprint(1)\n"),
        ("#!/bin/sh\n'''exec' \"{bin}/python\" \"$0\" \"$@\"\n' '''\nprint(1)\n", "#!{new}/python\nprint(1)\n"),
        ("#!/bin/sh\necho 1\n", "#!/bin/sh\necho 1\n"),
        ("\x7fELF", "\x7fELF"),
    ],
)
def test_a_command_runs_with_the_interpreter_of_its_environment(
    tmp_path: Path, script: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "bin", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    (old / "tool").write_text(script.format(bin=old), encoding="utf-8")
    checkout.link_command(old / "tool", new)
    assert (new / "tool").read_text(encoding="utf-8") == expected.format(new=new)
    assert (new / "tool").is_symlink() == (script == expected)


def test_a_command_also_runs_from_a_folder_with_a_space(tmp_path: Path) -> None:
    old, new = tmp_path / "bin", tmp_path / "it's a folder"
    for folder in (old, new):
        folder.mkdir()
    (new / "python").symlink_to(sys.executable)
    (old / "tool").write_text(f"#!{old}/python\nimport sys\nprint(sys.argv[1:])\n", encoding="utf-8")
    checkout.link_command(old / "tool", new)
    done = subprocess.run([new / "tool", "a b"], capture_output=True, text=True, check=True)
    assert done.stdout == "['a b']\n"


@pytest.mark.integration
def test_the_environment_has_the_installed_packages_and_the_code_of_the_commit(tmp_path: Path) -> None:
    commands = r"""
        export PATH="$PWD/.venv/bin:$PATH"
        test .venv/.ready -nt requirements.txt || test ! requirements.txt -nt .venv/.ready
        make setup
        python -c 'import workshop, sys; print("code", workshop.__file__); print("prefix", sys.prefix)'
        workshop which
        pytest --version; ruff --version; jupyter nbconvert --version
        python - <<'END'
        import os, tempfile
        from jupyter_client import KernelManager
        # Over sockets of its own: another kernel on the machine may take a port between the choice and the use of it.
        manager = KernelManager(transport="ipc", ip=os.path.join(tempfile.mkdtemp(dir="/tmp"), "kernel"))
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=300)
        texts = []
        client.execute_interactive("import sys, workshop; print('kernel', sys.prefix, workshop.__file__)",
                                   output_hook=lambda message: texts.append(message["content"].get("text", "")))
        print("".join(texts))
        manager.shutdown_kernel(now=True)
        from nbconvert import HTMLExporter
        print("template", len(HTMLExporter().template.blocks) > 3)
        END
    """
    pins = ("packaging", "pydantic", "ipykernel")
    files = {
        "requirements.txt": "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in pins),
        "pyproject.toml": "",
        "Makefile": (PACKAGE.parents[1] / "Makefile").read_text(encoding="utf-8"),
        "src/workshop/__init__.py": "",
        "src/workshop/__main__.py": "def main():\n    print('command', __file__)\n",
        ".gitignore": ".venv/\n",
    }
    indented = "\n".join(f"    {line.removeprefix('        ')}" for line in commands.strip("\n").splitlines())
    before = sorted(Path(sys.prefix, "bin").iterdir())
    folder = laptop.repository(
        tmp_path / "repository", f"steps:\n- bash: |\n    set -e\n{indented}\n  displayName: use\n", **files
    )
    done = laptop.execute(folder)
    log = laptop.log_of(done, "use")
    sources = run_store.Runs().folder_of(done.number) / "work" / "s"
    assert done.result == "succeeded", log
    assert f"code {sources}/src/workshop/__init__.py" in log
    assert f"prefix {sources}/.venv" in log
    assert f"command {sources}/src/workshop/__main__.py" in log
    assert f"kernel {sources}/.venv {sources}/src/workshop/__init__.py" in log
    assert "template True" in log
    assert "pip" not in log
    assert sorted(Path(sys.prefix, "bin").iterdir()) == before


@pytest.mark.integration
def test_an_environment_made_by_such_an_environment_has_the_packages_too(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / "src").symlink_to(PACKAGE.parent)
    (second / "src").mkdir(parents=True)
    checkout.make_thin_environment(first)
    make = f"""
from pathlib import Path
from azure_devops_local.agent import checkout
checkout.make_thin_environment(Path({str(second)!r}))
"""
    subprocess.run([first / ".venv" / "bin" / "python", "-c", make], check=True)
    look = "import sys, packaging; print([path for path in sys.path if path.endswith('src')], packaging.__file__)"
    done = subprocess.run([second / ".venv" / "bin" / "python", "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == f"['{second}/src'] {packaging.__file__}\n"
    assert "usage: pytest" in subprocess.run(
        [second / ".venv" / "bin" / "pytest", "--help"], capture_output=True, text=True, check=True
    ).stdout  # fmt: skip
