"""A run that is started manually: its plan, and its progress on the terminal."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from filelock import Timeout
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from azure_devops_local import host
from azure_devops_local.agent import agent, variables
from azure_devops_local.language import documents, reading, triggers
from azure_devops_local.run_store import Job, Run, Runs, Step, now
from azure_devops_local.server import changes, repos_api, run_queue
from azure_devops_local.views import html_page, page_content
from azure_devops_local.views.watch import MARKS
from kit_common import git
from kit_common.errors import UsageError
from kit_common.sanitize import visible
from kit_common.terminal import print_text

_LAST_LINES = 15


def plan(pipeline: str, branch: str, parameters: dict[str, str], repository: Path) -> Run:
    """Return a run of a pipeline on the head of a branch, without storing it.

    Args:
        pipeline: the file's name, `cd.yml`, or its path.
        branch: the branch; if empty, the one that is checked out.
        parameters: of the pipeline.
        repository: the root of the checkout.

    Raises:
        UsageError: the branch, the file or a parameter does not exist.
    """
    try:
        "".join([pipeline, branch, *parameters, *parameters.values()]).encode()
    except UnicodeEncodeError as error:
        raise UsageError("The command line is not UTF-8 text: correct it.") from error
    current = _git(repository, "symbolic-ref", "--quiet", "--short", "HEAD")
    if not (branch or current):
        raise UsageError("No branch is checked out here: choose one with --branch.")
    branch = changes.check_branch(branch or current)
    commit = _git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/heads/{branch}^{{commit}}")
    if not commit:
        raise UsageError(f"There is no branch {branch} with a commit here: `git branch` lists the branches.")
    files = documents.Commit(repository, commit)
    pipelines = triggers.decide(files, triggers.Push(f"refs/heads/{branch}", []))  # without templates and variables
    known = {name: path for name, path in documents.by_name(files).items() if name in pipelines}
    name = Path(pipeline).name
    if name not in known or pipeline not in {name, known[name], f"./{known[name]}"}:
        advice = f"choose one of {', '.join(known)}" if known else "commit one"
        raise UsageError(f"The branch {branch} has no pipeline {pipeline} in {documents.FOLDER}: {advice}.")
    run = Run(
        pipeline=name,
        branch=branch,
        commit=commit,
        message=_git(repository, "log", "-1", "--format=%s", "--end-of-options", commit),
        requested_for=_git(repository, "config", "user.name") or host.current().user(),
        parameters=parameters,
    )
    changed = _git(repository, "status", "--porcelain").splitlines() if branch == current else []
    if changed:
        files_are = "1 changed file is" if len(changed) == 1 else f"{len(changed)} changed files are"
        run.notices.append(f"{files_are} not part of this run: commit to include all changes.")
    try:
        reading.read_pipeline(files, known[name], parameters, variables.predefined(run))
    except documents.PipelineError:
        return run  # it fails at once with the reason, as in Azure DevOps
    return run


def execute(run: Run, repository: Path, console: Console, approves: bool) -> Run:
    """Store the run, execute it when no other run is executed, show its progress, and write its page."""
    timeline, team = Timeline(console, approves), host.current().home / "repository.git"
    with _stored(run) as stored:
        timeline.begin(stored)
        try:
            with (
                _turn(timeline),
                timeline.shown(),
                repos_api.serving(stored) if team.is_dir() else nullcontext() as service,
            ):
                agent.execute(stored, repository, timeline.approve, timeline.changed, service)
        except KeyboardInterrupt:  # while it waited for another run
            stored.cancel()
            Runs().save(stored)
    path = Runs().folder_of(stored.number) / "page.html"
    html_page.write(stored, path)
    timeline.end(stored, path)
    return stored


class Timeline:
    """A run on a terminal: a line for each completed step, and the current step below them."""

    def __init__(self, console: Console, approves: bool) -> None:
        self._console, self._approves = console, approves
        self._shown: set[int] = set()
        self._status = console.status("") if console.is_terminal else None

    def begin(self, run: Run) -> None:
        """Print the title of the run."""
        title = f"{run.title[0].upper()}{run.title[1:]}"
        self._print(f"[bold]{escape(title)}[/] on {escape(run.branch)}, {run.commit[:8]} {escape(run.message)}")

    def wait(self) -> None:
        """Print the reason for waiting."""
        self._print("This run waits for the end of another run.")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the current step until the end of the block."""
        with self._status or nullcontext():
            yield

    def changed(self, run: Run) -> None:
        """Print a line for each job and step that is new."""
        several = sum(len(stage.jobs) for stage in run.stages) > 1
        for stage in run.stages:
            for job in stage.jobs:
                if several and (job.started or job.result) and self._is_new(job):
                    self._print(f"[bold]{escape(job.name)}[/]{' (skipped)' if job.result == 'skipped' else ''}")
                for step in job.steps if job.started else ():
                    if step.result is None and step.started and self._status:
                        self._status.update(escape(step.name))
                    if step.result is not None and self._is_new(step):
                        mark, style = MARKS[step.result]
                        self._print(f"[{style}]{mark}[/] {escape(step.name)}{_seconds(step)}")

    def approve(self, run: Run, job: Job) -> str | None:
        """Ask for the approval of a job, unless `--approve` was given."""
        question = f"May {run.title} deploy to {job.environment}?"
        if self._approves:
            self._print(f"{escape(question)} Yes, by --approve.")
            return run.requested_for
        if not self._console.is_terminal:
            self._print(f"{escape(question)} No, because this is not a terminal: add --approve to approve it.")
            return None
        if self._status:
            self._status.stop()
        try:
            answer = self._console.input(f"{escape(question)} \\[y/N] ").strip().lower()
        except EOFError:
            answer = "n"
        if self._status:
            self._status.start()
        return run.requested_for if answer in {"y", "yes"} else None

    def end(self, run: Run, path: Path) -> None:
        """Print the result, the reasons, and the places of page and logs."""
        folder = Runs().folder_of(run.number)
        for job in (job for stage in run.stages for job in stage.jobs):
            for issue in job.issues:
                self._print(f"[red]{escape(job.name)}: {escape(issue.text)}[/]")
            for step in job.steps:
                for issue in step.issues:
                    self._print(
                        f"[{'red' if issue.kind == 'error' else 'yellow'}]{escape(step.name)}: {escape(issue.text)}[/]"
                    )
                if step.result == "failed" and step.log:
                    lines = (folder / step.log).read_text(encoding="utf-8").splitlines()[-_LAST_LINES:]
                    self._print(f"\n[bold]The last lines of {escape(step.name)}:[/]")
                    self._console.print(visible("\n".join(lines)), markup=False, highlight=False, soft_wrap=True)
        for summary in run.summaries:
            text = (folder / summary).read_text(encoding="utf-8", errors="replace")
            self._console.print(Markdown(page_content.for_terminal(text), hyperlinks=False))
        for notice in run.notices:
            self._print(f"[dim]Note: {escape(notice)}[/]")
        if run.problem:
            self._print(f"[red]✗[/] {escape(run.problem)}")
        self._print(f"[bold]{escape(run.title)}: {run.result}[/]")
        self._print(f"Page: {escape(str(path))}")
        self._print(f"Logs: {escape(str(folder / 'logs'))}")

    def _is_new(self, part: Job | Step) -> bool:
        new = id(part) not in self._shown
        self._shown.add(id(part))
        return new

    def _print(self, markup: str) -> None:
        print_text(self._console, visible(markup), markup=True)


@contextmanager
def _stored(run: Run) -> Iterator[Run]:
    """Store a run as running, and hold its lock, so that no listener treats it as lost."""
    with run_queue.lock("queue"):
        run = Runs().add(run)
        alive = run_queue.sign_of_life(run.number)
        alive.acquire()
        run.state, run.started = "running", now()
        Runs().save(run)
    try:
        yield run
    finally:
        alive.release()


@contextmanager
def _turn(timeline: Timeline) -> Iterator[None]:
    """Wait until no other run is executed."""
    busy = run_queue.lock("busy")
    try:
        busy.acquire(timeout=0)
    except Timeout:
        timeline.wait()
        busy.acquire()
    try:
        yield
    finally:
        busy.release()


def _seconds(step: Step) -> str:
    if step.started is None or step.finished is None:
        return ""
    return f" {(step.finished - step.started).total_seconds():.1f} s"


def _git(repository: Path, *arguments: str) -> str:
    """Return the output of a Git command, without the last line end; empty if the command fails."""
    done = git.run(repository, *arguments)
    return done.stdout.decode("utf-8", "replace").removesuffix("\n") if done.returncode == 0 else ""
