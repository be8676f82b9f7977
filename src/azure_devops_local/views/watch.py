"""The command `watch`: runs and pull requests, live on a terminal."""

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from azure_devops_local import host
from azure_devops_local.run_store import Run, Runs
from azure_devops_local.server import pull_requests, run_queue
from azure_devops_local.server.pull_request_record import PullRequest
from azure_devops_local.views.html_page import duration, headlines, newest, status
from kit_common.sanitize import visible

_PAUSE_SECONDS = 0.3
_LOOKED_AT = 50
_FINISHED_SHOWN = 3
MARKS: dict[str, tuple[str, str]] = {
    "succeeded": ("✓", "green"),
    "succeeded with issues": ("!", "yellow"),
    "failed": ("✗", "red"),
    "canceled": ("■", "yellow"),
    "abandoned": ("✗", "red"),
    "skipped": ("–", "dim"),
    "running": ("▸", "cyan"),
    "queued": ("…", "dim"),
    "waiting for approval": ("?", "yellow"),
    "not started": ("·", "dim"),
}
_GOOD = {"succeeded", "succeeded with issues"}
_COLLAPSED = {"succeeded", "skipped"}


def follow(console: Console, until_idle: bool = False, stop: threading.Event | None = None) -> int:
    """Show the runs until Ctrl-C, or until no run goes on; return the exit code.

    Args:
        console: the output; one that is not a terminal gets a line for each change.
        until_idle: end when no run is queued or running, except those that wait for an approval, or behind such a run.
        stop: ends the command when it is set.

    Returns:
        1 if the command ends by itself and a run that it has shown as active did not succeed, otherwise 0.
    """
    run_queue.ensure_working()
    stop = stop or threading.Event()
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    printed: dict[str, str] = {}
    old = {run.number for run in newest(Runs(), _LOOKED_AT) if run.state == "completed"}
    try:
        with live or nullcontext():
            while True:
                requests = pull_requests.every()
                runs = [run for run in newest(Runs(), _LOOKED_AT) if live or run.number not in old]
                if live:
                    live.update(_picture(runs, requests, until_idle), refresh=True)
                else:
                    _print_changes(console, printed, runs, requests)
                if until_idle and not _busy(runs):
                    if not (live or runs):
                        _print_last(console)
                    ended = [run for run in runs if run.number not in old and run.state == "completed"]
                    return 0 if all(run.result in _GOOD for run in ended) else 1
                if stop.wait(_PAUSE_SECONDS):
                    return 0
    except KeyboardInterrupt:
        return 0


def _busy(runs: list[Run]) -> bool:
    """Return whether a run goes on without a person; runs of a pipeline wait behind one that needs an approval."""
    blocked = {run.pipeline for run in runs if run.state == "waiting for approval"}
    return any(run.state == "running" or (run.state == "queued" and run.pipeline not in blocked) for run in runs)


def _print_changes(console: Console, printed: dict[str, str], runs: list[Run], requests: list[PullRequest]) -> None:
    lines = [(f"pull {request.id}", f"{request.name}: {request.status}") for request in requests]
    for run in reversed(runs):
        lines += _lines(run)
    first = not printed
    for key, line in lines:
        if printed.get(key) != line and not (first and key.startswith("pull") and not line.endswith("active")):
            _print(console, line)
        printed[key] = line
    printed["looked"] = "yes"


def _print(console: Console, line: str) -> None:
    console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def _print_last(console: Console) -> None:
    """Print that no run goes on, and how the newest one ended."""
    lines = [line for run in newest(Runs(), 1) for key, line in _lines(run) if not key.startswith("step")]
    for line in ["Nothing is running.", *lines]:
        _print(console, line)


def _lines(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the lines on a run, each with a key that is the same for all versions of the line."""
    whole = (f"run {run.number}", f"{run.title} ({run.branch}, {run.commit[:8]}): {_state_of(run)}")
    if run.state != "completed":
        yield whole
    for s, stage in enumerate(run.stages):
        for j, job in enumerate(stage.jobs):
            for at, step in enumerate(job.steps):
                if step.result and step.result != "skipped":
                    place = [*([stage.name] if len(run.stages) > 1 else []), job.name, step.name]
                    took = f", {duration(step)}" if step.started else ""
                    line = f"  run {run.number}, {' / '.join(place)}: {step.result}{took}"
                    yield f"step {run.number} {s} {j} {at}", line
    if run.state == "completed":
        yield whole
        for at, sentence in enumerate(headlines(run)):
            yield f"headline {run.number} {at}", f"  run {run.number}: {sentence}"


def reporter(print_line: Callable[[str], None]) -> Callable[[Run], None]:
    """Return a function that reports a run that is waited for whenever its state or its step has changed."""
    printed: list[str] = []

    def report(run: Run) -> None:
        line = _progress(run)
        if line not in printed:
            print_line(line if printed else f"Waiting for the test of the merge: {line}")
            printed.append(line)

    return report


def _progress(run: Run) -> str:
    steps = [step.name for stage in run.stages for job in stage.jobs for step in job.steps if step.started]
    at_work = f", {steps[-1]}" if steps and run.state == "running" else ""
    return f"{run.title}: {_state_of(run)}{at_work}"


def _state_of(run: Run) -> str:
    if run.state == "waiting for approval":
        return f"waiting for approval: `{host.current().advice} approve {run.number}`"
    took = f", {duration(run)}" if run.result else ""
    return f"{status(run)}{took}{'. ' + run.problem if run.problem else ''}"


def _picture(runs: list[Run], requests: list[PullRequest], until_idle: bool) -> Group:
    """Return the display: active runs with all steps at the top, then ended runs with their failed parts."""
    going = [run for run in reversed(runs) if run.state != "completed"]
    ended = [run for run in runs if run.state == "completed"][:_FINISHED_SHOWN]
    active = [Text(f"◦ {visible(each.name)}: {visible(each.title)}") for each in requests if each.status == "active"]
    nothing = "Nothing is running." if until_idle else "Nothing is running. Ctrl-C ends this."
    quiet = [] if going else [Text(nothing, style="dim")]
    return Group(*map(_tree, going), *quiet, *active, *map(_tree, ended))


def _tree(run: Run) -> Tree:
    message = visible(f"{run.title} · {run.branch} · {run.message}")
    tree = Tree(_label(status(run), message, duration(run) if run.result or run.started else ""), guide_style="dim")
    if run.state == "waiting for approval":
        tree.add(Text(f"to go on: {host.current().advice} approve {run.number}", style="bold yellow"))
    if run.problem:
        tree.add(Text(visible(run.problem), style="red"))
    for sentence in headlines(run):
        tree.add(Text(sentence, style="bold"))
    for stage in run.stages:
        under_stage = tree.add(_label(status(stage), stage.name, duration(stage)))
        for job in stage.jobs if stage.result not in _COLLAPSED else []:
            under_job = under_stage.add(_label(status(job), job.name, duration(job)))
            for step in job.steps if job.result not in _COLLAPSED else []:
                under_job.add(_label(status(step), step.name, duration(step)))
    return tree


def _label(word: str, text: str, took: str) -> Text:
    mark, style = MARKS[word]
    return Text.assemble((f"{mark} ", style), visible(text), (f"  {word}" + (f", {took}" if took else ""), style))
