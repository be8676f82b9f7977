"""One step at work: what it shares with the other steps of its job, its log, and how it ends."""

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
"""The environment variables by which a step's processes are known."""
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
# What belongs to the process that runs the agent, not to the steps: its own environment, Git hook, test or make.
_NOT_FOR_STEPS = re.compile(
    r"VIRTUAL_ENV.*|PYTHON(PATH|HOME)|PYTEST_.*|__PYVENV_LAUNCHER__|MAKEFLAGS|MAKELEVEL|MFLAGS|GIT_CONFIG.*"
)


def sweep(folder: Path) -> int:
    """Kill what the steps of the run in this folder left running, remove its work, and return how many there were."""
    killed = processes.kill_marked({RUN: folder.name, RUN_FOLDER: str(folder)})
    shutil.rmtree(folder / "work", ignore_errors=True)
    return killed


@dataclass
class Workplace:
    """What the steps of one job share."""

    run: run_store.Run
    folder: Path
    """The run's."""
    repository: Path
    variables: Variables
    mask: Mask
    save: Callable[[], None]
    on_line: Callable[["StepAtWork", str], None]
    """Is called with each line of a step's output, before the line reaches the log; a `UserError` fails the step."""
    paths: list[str] = field(default_factory=list)
    """What was prepended to PATH, the last first."""
    outputs: dict[str, str] = field(default_factory=dict)
    """Output variables, as `step.variable`."""

    @property
    def work(self) -> Path:
        """The job's own folder, gone when it ends."""
        return self.folder / "work"

    @property
    def sources(self) -> Path:
        """Where the commit is checked out."""
        return self.work / "s"

    @property
    def temp(self) -> Path:
        """For scripts and scratch files."""
        return self.work / "temp"

    def make_folders(self, with_artifacts: bool) -> None:
        """Make the job's folders, empty but for what a deployment job finds: the artifacts of the run so far."""
        shutil.rmtree(self.work, ignore_errors=True)
        for name in (*_FOLDERS, "s"):
            (self.work / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "logs").mkdir(exist_ok=True)
        for name in self.run.artifacts if with_artifacts else ():
            shutil.copytree(self.folder / "artifacts" / name, self.work / name, dirs_exist_ok=True, symlinks=True)

    def folders(self) -> dict[str, str]:
        """Return the variables that are known where a job runs."""
        places = {"s": _SOURCES, "": _WORK, **_FOLDERS}
        machine = {
            "Agent.OS": platform.system(),
            "Agent.OSArchitecture": platform.machine(),
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
        # The pipeline is to set its own environment up, as it must in the cloud, not to find the agent's.
        own_bin = sysconfig.get_path("scripts") if sys.prefix != sys.base_prefix else ""
        inherited = [path for path in os.get_exec_path() if path != own_bin]
        return {
            **agents,
            "PATH": os.pathsep.join([*self.paths, *inherited]),
            **host.current().environment,
            "GIT_TERMINAL_PROMPT": "0",
            **self.variables.environment(),
            **{name: self.variables.expand(value) for name, value in step.items()},
            RUN: str(self.run.number),
            RUN_FOLDER: str(self.folder),
        }

    def notice(self, sentence: str) -> None:
        """Record, once, what happens otherwise here than in Azure DevOps."""
        if (shown := self.mask(sentence)) not in self.run.notices:
            self.run.notices.append(shown)
            self.save()

    def keep_artifact(self, source: Path, name: str, below: str = "") -> None:
        """Copy a file or a folder into an artifact of the run.

        Raises:
            UserError: it is not there, or the name won't do.
        """
        parts = [name, *filter(None, below.split("/"))]
        if any(re.search(r'[\\/:*?"<>|\x00-\x1f]', part) or part in {"", ".", ".."} for part in parts):
            raise UserError(f"An artifact can't be called {'/'.join(parts)!r}: use letters, digits, - and _.")
        if not source.exists():
            raise UserError(f"There is no {source} to publish: check the path.")
        target = self.folder.joinpath("artifacts", *parts)
        try:
            if source.is_dir():  # links stay links: what they lead to outside of it is not the run's to keep
                shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        except OSError as error:
            reason = error.strerror or "not everything in it is a readable file"
            raise UserError(f"{source} can't be published ({reason}): look at what it is.") from error
        if name not in self.run.artifacts:
            self.run.artifacts.append(name)
        self.save()


class StepAtWork:
    """One step while it is being executed."""

    def __init__(
        self, place: Workplace, step: pipeline.Step, entry: run_store.Step, log: IO[str], deadline: float
    ) -> None:
        self.place, self.step, self.entry, self._log = place, step, entry, log
        self.deadline = deadline
        """When it has to be over, as `time.monotonic` counts."""
        self.result: run_store.Result = "succeeded"

    def say(self, line: str) -> None:
        """Write a line to the log; it can be read at once."""
        line = self.place.mask(line)
        # A progress bar writes over what came before. Masked once more: what is not seen may have split a secret.
        shown = self.place.mask(visible(line.rstrip("\r").rpartition("\r")[2]))
        self._log.write(f"{shown}\n")
        self._log.flush()

    def limit_result(self, result: run_store.Result) -> None:
        """Let the step end no better than this."""
        self.result = conditions.worst((self.result, result))

    def issue(self, kind: Literal["warning", "error"], text: str) -> None:
        """Record a warning or an error; of each kind the first ten, as in Azure DevOps."""
        if sum(issue.kind == kind for issue in self.entry.issues) < _MOST_ISSUES:
            self.entry.issues.append(run_store.Issue(kind=kind, text=self.place.mask(text)))
            self.place.save()

    def fail(self, sentence: str) -> None:
        """Let the step fail, and say why in its log and on the timeline."""
        self.limit_result("failed")
        self.say(f"##[error]{sentence}")
        self.issue("error", sentence)

    def bash(self, script: str, folder: str = "", fail_on_stderr: bool = False) -> None:
        """Run a script as Azure does: only the exit code of its last command counts, unless it says otherwise.

        Args:
            script: the script, with its `$(name)`.
            folder: where it runs, seen from the sources.
            fail_on_stderr: whether anything on its standard error fails the step.

        Raises:
            UserError: it can't be started.
            OutOfTimeError: it took too long.
        """
        file = self.place.temp / f"{uuid.uuid4()}.sh"
        file.write_text(self.place.variables.expand(script), encoding="utf-8")
        code = self.execute(["bash", "--noprofile", "--norc", str(file)], self.place.sources / folder, fail_on_stderr)
        if code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self.fail(f"The script ended with {how}: the last lines of its log say why.")

    def execute(
        self, command: list[str], folder: Path, fail_on_stderr: bool = False, with_commands: bool = True
    ) -> int:
        """Run a program, and return its exit code, negative for a signal; its output may contain logging commands.

        Raises:
            UserError: it can't be started.
            OutOfTimeError: it took too long.
        """
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
        self.say(text)
        if self.result != "failed":
            self.fail("Something was written to standard error, and this step fails on that.")
