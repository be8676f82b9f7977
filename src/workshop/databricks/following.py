"""Follows a run of the workspace to its end, through lost connections, and ends it where somebody wants that."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from threading import Event
from typing import NoReturn

from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from workshop.core.errors import WorkshopError
from workshop.databricks.errors import explained
from workshop.databricks.retries import patiently
from workshop.databricks.settings import PREFIX, DatabricksSettings
from workshop.databricks.submission import ENDED, Submitted, look_at
from workshop.runner import interruption

_GRACE = 120
"""Seconds that the service gets, beyond the run's own limit, to end the run itself."""
_TO_CANCEL = 60
"""Seconds within which a run that was told to end should have."""


def follow(
    client: WorkspaceClient,
    submitted: Submitted,
    settings: DatabricksSettings,
    on_change: Callable[[jobs.Run], None],
    say: Callable[[str], None],
) -> jobs.Run:
    """Look at the run again and again until it has ended.

    Args:
        client: of the workspace.
        submitted: the run.
        settings: say how often to look and how long the run may take.
        on_change: is told of the run each time that it was looked at.
        say: is told in a sentence when the connection is lost, and when it is back.

    Returns:
        The run, which has ended.

    Raises:
        WorkshopError: it can no longer be looked at, or has run longer than it may; ours was told to end then.
        KeyboardInterrupt: somebody wants to stop.
    """
    patience = settings.timeout_minutes * 60 + _GRACE
    deadline = time.monotonic() + patience
    until = f"{datetime.now() + timedelta(seconds=patience):%H:%M}"
    lost = False
    while True:
        run = look_at(client, submitted.run_id)
        if (run is None) != lost:
            lost = not lost
            say(
                f"The workspace does not answer; the run goes on there, and is looked for again until {until}."
                if lost
                else "The workspace answers again."
            )
        if run is not None:
            on_change(run)
            if has_ended(run):
                return run
        interruption.check()
        if time.monotonic() > deadline:
            _give_up(client, submitted, settings)
        Event().wait(settings.poll_seconds)


def _give_up(client: WorkspaceClient, submitted: Submitted, settings: DatabricksSettings) -> NoReturn:
    late = f"The run {submitted.run_id} has not ended within the {settings.timeout_minutes} minutes that it may take"
    more = f"allow more with {PREFIX}TIMEOUT_MINUTES if it needs more."
    if not submitted.is_ours:
        raise WorkshopError(f"{late}, and is somebody else's, so it was left alone: {more}")
    cancel(client, submitted.run_id)
    raise WorkshopError(f"{late}, and was told to end: see its page, and {more}")


def cancel(client: WorkspaceClient, run_id: int) -> jobs.Run | None:
    """Tell a run to end, and see that it does; None where it had not within a minute.

    Raises:
        WorkshopError: there is no telling it, since the workspace does not answer or there is no right to.
    """
    with explained(f"cancel the run {run_id}"):
        patiently(client, lambda: client.jobs.cancel_run(run_id))
    deadline = time.monotonic() + _TO_CANCEL
    while time.monotonic() < deadline:
        run = look_at(client, run_id)
        if run is not None and has_ended(run):
            return run
        Event().wait(0.2)
    return None


def has_ended(run: jobs.Run) -> bool:
    """Whether nothing of it runs any more, however it ended."""
    return run.state is not None and run.state.life_cycle_state in ENDED
