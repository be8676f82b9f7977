"""The page of a run: one HTML file that needs no network and runs no code from logs or other foreign texts."""

import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from azure_devops_local import host
from azure_devops_local.run_store import Job, Run, Runs, Stage, Step, now
from azure_devops_local.views import page_content
from kit_common.errors import UserError
from kit_common.sanitize import visible
from kit_common.times import utc

_MOST_FILES = 50


def write(run: Run, path: Path) -> None:
    """Write the page of a run; its links to logs and artifacts are relative to the page."""
    folder = Runs().folder_of(run.number)
    base = Path(os.path.relpath(folder, path.parent)).as_posix()
    body = content(run, folder, "" if base == "." else f"{base}/")
    path.write_text(whole(title(run), body), encoding="utf-8")


def title(run: Run) -> str:
    """Return the title of a run's page."""
    return f"{run.pipeline} #{run.number}: {status(run)}"


def whole(title: str, body: str, nonce: str = "") -> str:
    """Return a whole page around its content; with a nonce, it is refreshed while the content is `live`."""
    return render("page.html.j2", title=title, body=Markup(body), nonce=nonce)


def content(run: Run, folder: Path, base: str) -> str:
    """Return the content of a run's page; `base`, the path to the run's folder, is empty or ends in `/`."""
    return render(
        "run.html.j2",
        run=run,
        base=base,
        live=run.state != "completed",
        summaries=[text for text in (_summary(folder, name) for name in run.summaries) if text],
        issues=[issue for stage in run.stages for job in stage.jobs for issue in _issues(job)],
        artifacts={name: _files(folder, name) for name in run.artifacts},
        log=lambda step: page_content.log(folder, step.log) if step.log else None,
    )


def render(template: str, **values: Any) -> str:
    """Return a template of this package, filled in."""
    program = host.current()
    return _templates().get_template(template).render(advice=program.advice, remote=program.name, **values)


def newest(runs: Runs, most: int) -> list[Run]:
    """Return the newest runs, newest first, without those whose folder is removed meanwhile."""
    found = []
    for number in reversed(runs.numbers()[-most:]):
        with suppress(UserError, OSError):
            found.append(runs.load(number))
    return found


def headlines(run: Run) -> Iterator[str]:
    """Yield the first heading or paragraph of each summary of a run, as text."""
    folder = Runs().folder_of(run.number)
    return (text for name in run.summaries if (text := page_content.beginning(folder, name)))


def outcome(run: Run) -> str:
    """Return the first of a run's headlines; empty without a summary."""
    return next(headlines(run), "")


def status(item: Run | Stage | Job | Step) -> str:
    """Return the result, or the state before there is one."""
    if item.result:
        return item.result
    if isinstance(item, Run):
        return item.state
    if isinstance(item, Stage):
        return "running" if any(job.started or job.result for job in item.jobs) else "not started"
    return "running" if item.started else "not started"


def duration(item: Run | Stage | Job | Step) -> str:
    """Return the duration, or the time so far; empty before the start."""
    parts = item.jobs if isinstance(item, Stage) else [item]
    begun = [part.started for part in parts if part.started]
    ended = [part.finished for part in parts if part.finished] if item.result else []
    if not begun or (item.result and not ended):
        return ""
    seconds = max(0.0, (max(ended, default=now()) - min(begun)).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s" if item.result else f"{int(seconds)} s"
    minutes = int(seconds) // 60
    return f"{minutes} min {int(seconds) % 60} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=PackageLoader("azure_devops_local.views", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        finalize=_without_invisible,
    )
    templates.filters.update(
        status=status,
        duration=duration,
        visible=visible,
        markdown=page_content.markdown,
        moment=_moment,
        with_code=_with_code,
    )
    return templates


def _without_invisible(value: Any) -> Any:
    """Return a value for a page: text without invisible characters, our own HTML unchanged."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _with_code(sentence: str) -> Markup:
    """Return a sentence, with the parts between backticks as code."""
    parts = visible(sentence).split("`")
    if len(parts) % 2 == 0:  # one of them has no counterpart
        return Markup("{}").format(visible(sentence))
    return Markup("").join(Markup("<code>{}</code>" if at % 2 else "{}").format(part) for at, part in enumerate(parts))


def _moment(time: datetime) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(time.astimezone(UTC).isoformat(), utc(time))


def _issues(job: Job) -> list[tuple[Job | Step, str, str]]:
    """Return the part of each issue, its kind and its text."""
    items: list[Job | Step] = [job, *job.steps]
    return [(item, issue.kind, issue.text) for item in items for issue in item.issues]


def _summary(folder: Path, name: str) -> Markup:
    file = page_content.inside(folder, name)
    text = file.read_text(encoding="utf-8", errors="replace") if file else ""
    return page_content.markdown(text, folder, posixpath.dirname(name))


def _files(folder: Path, artifact: str) -> tuple[list[str], int]:
    """Return the first files of an artifact, as paths from the run's folder, and the number of all files."""
    root = folder / "artifacts" / artifact
    found = sorted(path for path in [root, *root.rglob("*")] if path.is_file())
    return [path.relative_to(folder).as_posix() for path in found[:_MOST_FILES]], len(found)
