"""A step while it is executed: its log, its result, and the folders and variables that it shares with its job."""

import os
import platform
import re
import shutil
import sys
import sysconfig
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from azure_devops_local import host, run_store
from azure_devops_local.agent import conditions, processes
from azure_devops_local.agent.variables import Mask, Variables
from azure_devops_local.language import pipeline
from kit_common import git
from kit_common.errors import UserError
from kit_common.sanitize import visible

RUN, RUN_FOLDER = "AZURE_DEVOPS_LOCAL_RUN", "AZURE_DEVOPS_LOCAL_RUN_FOLDER"
"""The environment variables that mark a step's processes."""
_MOST_ISSUES = 10
_WORK = ("Pipeline.Workspace", "Agent.BuildDirectory", "Agent.WorkFolder", "System.WorkFolder")
_SOURCES = ("Build.SourcesDirectory", "System.DefaultWorkingDirectory", "Build.Repository.LocalPath")
_FOLDERS = {
    "a": ("Build.ArtifactStagingDirectory", "Build.StagingDirectory", "System.ArtifactsDirectory"),
    "b": ("Build.BinariesDirectory",),
    "temp": ("Agent.TempDirectory",),
    "tools": ("Agent.ToolsDirectory",),
    "TestResults": ("Common.TestResultsDirectory",),
}
_EXIT_OF_POWERSHELL = "if (Test-Path -LiteralPath variable:\\LASTEXITCODE) { exit $LASTEXITCODE }"
_ARCHITECTURES = {"x86_64": "X64", "amd64": "X64", "aarch64": "ARM64", "i386": "X86", "i686": "X86"}
# Variables of the agent's own process: its virtual environment, Git hook, test or make.
_NOT_FOR_STEPS = re.compile(
    r"VIRTUAL_ENV.*|PYTHON(PATH|HOME)|PYTEST_.*|__PYVENV_LAUNCHER__|MAKEFLAGS|MAKELEVEL|MFLAGS|GIT_CONFIG.*"
)


def sweep(folder: Path) -> int:
    """Kill the processes that a run's steps left, remove its work folder, and return the number of processes."""
    killed = processes.kill_marked({RUN: folder.name, RUN_FOLDER: str(folder)})
    shutil.rmtree(folder / "work", ignore_errors=True)
    return killed


@dataclass
class Workplace:
    """The folders, variables and outputs that the steps of a job share."""

    run: run_store.Run
    folder: Path
    """The folder of the run."""
    repository: Path
    predefined: dict[str, str]
    """The predefined variables of the run, also for its later jobs."""
    variables: Variables
    mask: Mask
    save: Callable[[], None]
    on_line: Callable[["StepAtWork", str], None]
    """Called with each line of output before it is logged; a `UserError` fails the step."""
    paths: list[str] = field(default_factory=list)
    """The folders in front of PATH."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Output variables, as `step.variable`."""

    @property
    def work(self) -> Path:
        """The job's folder, which is removed at its end."""
        return self.folder / "work"

    @property
    def sources(self) -> Path:
        """The folder of the checkout."""
        return self.work / "s"

    @property
    def temp(self) -> Path:
        """The folder for temporary files."""
        return self.work / "temp"

    def make_folders(self, with_artifacts: bool) -> None:
        """Make the job's folders, empty except for the artifacts of the run so far, which a deployment job finds."""
        shutil.rmtree(self.work, ignore_errors=True)
        for name in (*_FOLDERS, "s"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        for name in self.run.artifacts if with_artifacts else ():
            shutil.copytree(self.folder / "artifacts" / name, self.work / name, dirs_exist_ok=True, symlinks=True)

    def folders(self) -> dict[str, str]:
        """Return the predefined variables of a job."""
        places = {"s": _SOURCES, "": _WORK, **_FOLDERS}
        machine = {
            "Agent.OS": platform.system(),
            "Agent.OSArchitecture": _ARCHITECTURES.get(platform.machine().lower(), platform.machine().upper()),
            "Agent.Id": "1",
            "Agent.Name": host.current().name,
            "Agent.HomeDirectory": str(self.folder.parent),
            "System.JobId": str(uuid.uuid4()),
            "Agent.MachineName": platform.node(),
            "Build.Repository.Uri": str(self.repository),
            "TF_BUILD": "True",
        }
        return machine | {name: str(self.work / folder) for folder, names in places.items() for name in names}

    def environment(self, step: dict[str, str]) -> dict[str, str]:
        """Return the environment of a step with these variables of its own."""
        agents = {name: value for name, value in git.environment().items() if not _NOT_FOR_STEPS.fullmatch(name)}
        # The pipeline must set up its own environment, as in the cloud, instead of finding the agent's.
        own_bin = sysconfig.get_path("scripts") if sys.prefix != sys.base_prefix else ""
        inherited = [path for path in os.get_exec_path() if path != own_bin]
        return {
            **agents,
            "PATH": os.pathsep.join([*self.paths, *inherited]),
            **host.current().environment,
            "GIT_TERMINAL_PROMPT": "0",
            **{name: self.variables.expand(value) for name, value in step.items()},
            **self.variables.environment(),
            RUN: str(self.run.number),
            RUN_FOLDER: str(self.folder),
        }

    def notice(self, sentence: str) -> None:
        """Record, once, a difference from Azure DevOps."""
        if (shown := self.mask(sentence)) not in self.run.notices:
            self.run.notices.append(shown)
            self.save()

    def keep_artifact(self, source: Path, name: str) -> None:
        """Copy a file or a folder into an artifact of the run, which does not keep permissions."""
        if re.search(r'[\\/:*?"<>|\x00-\x1f]', name) or name in {"", ".", ".."}:
            raise UserError(f"An artifact can't be called {name!r}: use letters, digits, - and _.")
        if not source.exists():
            raise UserError(f"There is no {source} to publish: check the path.")
        target = self.folder / "artifacts" / name
        try:
            if source.is_dir():  # links stay links: files outside of the folder are not part of the artifact
                shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True, copy_function=shutil.copyfile)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / source.name)
        except OSError as error:
            reason = error.strerror or "some of its files are not readable"
            raise UserError(f"{source} can't be published ({reason}): check its content.") from error
        if name not in self.run.artifacts:
            self.run.artifacts.append(name)
        self.save()


class StepAtWork:
    """A step while it is executed."""

    def __init__(
        self, place: Workplace, step: pipeline.Step, entry: run_store.Step, log: IO[str], deadline: float
    ) -> None:
        self.place, self.step, self.entry, self._log = place, step, entry, log
        self.deadline = deadline
        """The latest end, on the clock of `time.monotonic`."""
        self.result: run_store.Result = "succeeded"

    def say(self, line: str) -> None:
        """Write a line to the log at once."""
        line = self.place.mask(line)
        # Only the last state of a progress bar is kept. Invisible characters may have split a secret: mask again.
        shown = self.place.mask(visible(line.rstrip("\r").rpartition("\r")[2]))
        self._log.write(f"{shown}\n")
        self._log.flush()

    def limit_result(self, result: run_store.Result) -> None:
        """Limit the result of the step to this one or a worse one."""
        self.result = conditions.worst((self.result, result))

    def issue(self, kind: Literal["warning", "error"], text: str) -> None:
        """Record a warning or an error: the first ten of each kind, as in Azure DevOps."""
        if sum(issue.kind == kind for issue in self.entry.issues) < _MOST_ISSUES:
            self.entry.issues.append(run_store.Issue(kind=kind, text=self.place.mask(text)))
            self.place.save()

    def warn(self, sentence: str) -> None:
        """Write a warning to the log and to the timeline."""
        self.say(f"##[warning]{sentence}")
        self.issue("warning", sentence)

    def fail(self, sentence: str) -> None:
        """Let the step fail, with the reason in its log and on the timeline."""
        self.limit_result("failed")
        self.say(f"##[error]{sentence}")
        self.issue("error", sentence)

    def bash(self, script: str, folder: str = "", fail_on_stderr: bool = False) -> None:
        """Run a script with bash.

        Args:
            script: the script, in which each `$(name)` is replaced.
            folder: the working directory, relative to the sources.
            fail_on_stderr: let the step fail if the script writes to standard error.
        """
        self._run_file(["bash", "--noprofile", "--norc"], ".sh", script, folder, fail_on_stderr)

    def pwsh(self, script: str, folder: str = "", fail_on_stderr: bool = False) -> None:
        """Run a script with PowerShell, as `bash` does; it stops at the first error, like the task PowerShell@2."""
        whole = f"$ErrorActionPreference = 'Stop'\n{script}\n{_EXIT_OF_POWERSHELL}\n"
        self._run_file(
            ["pwsh", "-NoLogo", "-NoProfile", "-NonInteractive", "-File"], ".ps1", whole, folder, fail_on_stderr
        )

    def _run_file(self, shell: list[str], suffix: str, script: str, folder: str, fail_on_stderr: bool) -> None:
        file = self.place.temp / f"{uuid.uuid4()}{suffix}"
        file.write_text(self.place.variables.expand(script), encoding="utf-8")
        code = self.execute([*shell, str(file)], self.place.sources / folder, fail_on_stderr)
        if code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.fail(f"The script ended with {how}: see the last lines of its log.")

    def execute(
        self, command: list[str], folder: Path, fail_on_stderr: bool = False, with_commands: bool = True
    ) -> int:
        """Run a program, and return its exit code, negative for a signal; its output may contain logging commands."""
        return processes.run(
            command,
            folder,
            self.place.environment(self.step.env),
            self.deadline,
            self._line if with_commands else self.say,
            self._error_line if fail_on_stderr else None,
        )

    def _line(self, text: str) -> None:
        try:
            self.place.on_line(self, text)
        except UserError as error:
            self.fail(str(error))
        self.say(text)

    def _error_line(self, text: str) -> None:
        self._line(text)
        if self.result != "failed":
            self.fail("The script wrote to standard error, and failOnStderr is set.")
        self.issue("error", text)
