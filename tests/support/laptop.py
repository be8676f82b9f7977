"""A small repository with a pipeline in it, and the agent that runs it."""

import subprocess
import textwrap
import threading
from pathlib import Path

import psutil

from azure_devops_local import run_store
from azure_devops_local.agent import agent


def git(folder: Path, *arguments: str) -> str:
    """Return the output of a Git command."""
    settings = ("-c", "user.name=Ana", "-c", "user.email=ana@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", str(folder), *settings, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path, pipeline: str = "", **files: str) -> Path:
    """Return a new repository with one commit: `.azure_pipelines/try.yml` and these files."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet")
    commit(folder, pipeline, **files)
    return folder


def commit(folder: Path, pipeline: str = "", **files: str) -> str:
    """Commit the pipeline and the files, and return the commit."""
    for name, text in {**files, ".azure_pipelines/try.yml": textwrap.dedent(pipeline)}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "Try ##vso[task.complete result=Failed]it")
    return git(folder, "rev-parse", "HEAD")


def queued(folder: Path, branch: str = "main", **parameters: str) -> run_store.Run:
    """Return a stored run of the repository's content."""
    run = run_store.Run(
        number=0,
        pipeline="try.yml",
        branch=branch,
        commit=git(folder, "rev-parse", "HEAD"),
        message=git(folder, "log", "-1", "--format=%s"),
        requested_for="Ana",
        parameters=parameters,
        created=run_store.now(),
    )
    return run_store.Runs().add(run)


def reject(_run: run_store.Run, _job: run_store.Job) -> str | None:
    """Reject a job."""
    return None


def execute(folder: Path, approver: agent.Approver = reject, **parameters: str) -> run_store.Run:
    """Run the pipeline to its end, and require that the stored run equals the returned one."""
    run = agent.execute(queued(folder, **parameters), folder, approver)
    assert run_store.Runs().load(run.number) == run
    return run


def steps_of(run: run_store.Run) -> dict[str, run_store.Step]:
    """Return all steps by their names."""
    return {step.name: step for stage in run.stages for job in stage.jobs for step in job.steps}


def log_of(run: run_store.Run, name: str) -> str:
    """Return the log of a step."""
    return (run_store.Runs().folder_of(run.number) / steps_of(run)[name].log).read_text(encoding="utf-8")


def wait_until_gone(pid: int) -> None:
    """Wait until a process that was killed is dead; where no process collects orphans, it stays listed as a zombie."""
    for _ in range(500):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        threading.Event().wait(0.02)
    raise AssertionError(f"process {pid} lives on")


def approve(_run: run_store.Run, _job: run_store.Job) -> str | None:
    """Approve a job as Ben."""
    return "Ben"


def run(tmp_path: Path, text: str, approver: agent.Approver = reject, **parameters: str) -> run_store.Run:
    """Run this pipeline in a new repository to its end."""
    return execute(repository(tmp_path / "repository", text), approver, **parameters)


def results(done: run_store.Run) -> dict[str, str | None]:
    """Return the results of stages, jobs and steps by name."""
    found: dict[str, str | None] = {"run": done.result}
    for stage in done.stages:
        found[stage.name] = stage.result
        found |= {job.name: job.result for job in stage.jobs}
        found |= {step.name: step.result for job in stage.jobs for step in job.steps}
    return found
