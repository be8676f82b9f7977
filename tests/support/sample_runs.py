"""Stored runs as an agent leaves them, with texts that try to break a page."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure_devops_local.run_store import Issue, Job, Run, Runs, Stage, Step
from azure_devops_local.server.pull_request_record import PullRequest
from workshop.core.settings import current_settings

BEGAN = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
NASTY = "<script>document.title='pwned'</script><img src=x onerror=\"document.title='pwned'\">"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def at(seconds: float) -> datetime:
    """Return the time this many seconds after the run began."""
    return BEGAN + timedelta(seconds=seconds)


def step(name: str, log: str, begin: float = 0, end: float = 1) -> Step:
    """Return a step that succeeded."""
    return Step(name=name, result="succeeded", started=at(begin), finished=at(end), log=log)


def succeeded() -> Run:
    """Store a CD run that succeeded: a summary with a table and a picture, an artifact, tests, an approval."""
    steps = [
        step("Checkout workshop@main", "logs/1.log", 0, 1.4),
        step("Install the environment", "logs/2.log", 1.4, 5),
        step("Run the notebooks", "logs/3.log", 5, 76),
        Step(name="Only on failure", result="skipped"),
    ]
    steps[1].issues.append(Issue(kind="warning", text="The cache was not found: everything was installed anew."))
    deploy = Job(
        name="Deploy the model",
        result="succeeded",
        started=at(0),
        finished=at(77),
        environment="production",
        approved_by="Bo",
        steps=steps,
    )
    run = Runs().add(
        Run(
            number=0,
            pipeline="cd.yml",
            branch="main",
            commit="2f6c1d8b9e0a4f7c8d1e2b3a4c5d6e7f8a9b0c1d",
            message="Merged PR 2: integration into main",
            reason="individualCI",
            requested_for="Ana",
            state="completed",
            result="succeeded",
            created=at(-1),
            started=at(0),
            finished=at(78),
            stages=[Stage(name="Deployment", result="succeeded", jobs=[deploy])],
            notices=["AzureCLI@2 ran its script here without signing in to Azure."],
            artifacts=["report"],
            summaries=["summaries/decision.md"],
            tests={"passed": 41, "failed": 0, "skipped": 2},
        )
    )
    put(
        run,
        "logs/1.log",
        "##[section]Starting: Checkout\n##[command]git checkout --force 2f6c1d8b\nHEAD is now at 2f6c1d8\n",
    )
    put(run, "logs/2.log", "10%\r55%\r\x1b[32m100%\x1b[0m\n##[warning]The cache was not found\n")
    put(run, "logs/3.log", "part_1_1_data_prep: succeeded at cell 9 of 9, 3.1 s\npart_1_2_training: succeeded, 6.0 s\n")
    put(run, "artifacts/report/report.html", "<h1>The report</h1><script>document.title='pwned'</script>")
    put(run, "artifacts/report/summary.json", "{}")
    put(
        run,
        "summaries/decision.md",
        "# Promoted\n\nVersion 4 holds **Production**.\n\n| figure | value |\n|---|---:|\n| AUC | 0.9012 |\n\n"
        "![AUC of both](pictures/auc.png)\n\n![elsewhere](https://example.org/x.png)\n\n![secret](../../../secret.png)\n",
    )
    path = Runs().folder_of(run.number) / "summaries" / "pictures" / "auc.png"
    path.parent.mkdir()
    path.write_bytes(PIXEL)
    return run


def failed() -> Run:
    """Store a CI run that failed, with nasty names, branches, messages and logs."""
    broken = Step(
        name=f"Tests {NASTY}",
        result="failed",
        started=at(2),
        finished=at(9.25),
        log="logs/tests.log",
        issues=[Issue(kind="error", text=f"Bash exited with code '1'. {NASTY}")],
    )
    gone = step("Its log was removed", "logs/gone.log")
    unit = Job(name=f"Unit {NASTY}", result="failed", started=at(0), finished=at(10), steps=[gone, broken])
    after = Stage(name="Open the pull request", result="skipped", jobs=[Job(name="Create", result="skipped")])
    run = Runs().add(
        Run(
            number=0,
            pipeline="ci.yml",
            branch=f"dev/{NASTY}",
            commit="b" * 40,
            message=f"\x1b[31mred\x1b[0m {NASTY}",
            requested_for=f"Ana {NASTY}",
            state="completed",
            result="failed",
            created=at(0),
            started=at(0),
            finished=at(11),
            stages=[Stage(name=f"Test {NASTY}", result="failed", jobs=[unit]), after],
            parameters={"promote": NASTY},
            notices=[NASTY],
            summaries=["summary.md", "not-there.md", "../../../secret.md"],
            tags=[NASTY],
            tests={"passed": 3, "failed": 1, "skipped": 0},
        )
    )
    lines = [f"line {number}" for number in range(2_500)]
    lines += [NASTY, "x" * 100_000, "##[group]Details", "##[endgroup]", "##[error]Bash exited with code '1'."]
    put(run, "logs/tests.log", "\n".join(lines) + "\n")
    put(run, "summary.md", f"{NASTY}\n\n[click](javascript:alert(1))\n\n<b>bold</b>\n")
    return run


def running() -> Run:
    """Store a run in its first step."""
    first = Step(name="Say it", started=at(0), log="logs/say.log")
    job = Job(name="Only", started=at(0), steps=[first, Step(name="Then")])
    run = Runs().add(
        Run(
            number=0,
            pipeline="workshop_unit_test.yml",
            branch="dev-ana",
            commit="c" * 40,
            message="Try another seed",
            reason="individualCI",
            requested_for="Ana",
            state="running",
            created=at(0),
            started=at(0),
            stages=[Stage(name="Test", jobs=[job])],
        )
    )
    put(run, "logs/say.log", f"hello\n{NASTY}\n")
    return run


def waiting() -> Run:
    """Store a run that waits for an approval."""
    job = Job(name="Deploy", environment="production", steps=[Step(name="Run the notebooks")])
    return Runs().add(
        Run(
            number=0,
            pipeline="cd.yml",
            branch="main",
            commit="d" * 40,
            message="Merged PR 3",
            reason="individualCI",
            requested_for="Bo",
            state="waiting for approval",
            created=at(0),
            started=at(1),
            stages=[Stage(name="Deployment", jobs=[job])],
        )
    )


def put(run: Run, name: str, text: str) -> Path:
    """Write a file below the run's folder."""
    path = Runs().folder_of(run.number) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def pull_requests() -> tuple[PullRequest, PullRequest]:
    """Store a completed pull request and an open one."""
    done = PullRequest(
        id=1,
        source="dev-ana",
        target="integration",
        title="Boosted trees instead of a forest",
        author="Ana",
        status="completed",
        completed_by="Ana",
        merge_commit="a" * 40,
        created=at(0),
    )
    opened = PullRequest(
        id=2,
        source="integration",
        target="main",
        title=f"The better model goes to Production {NASTY}",
        description=f"## Promote?\n\n**Better**. {NASTY}\n\n| figure | value |\n|---|---:|\n| AUC | 0.9 |",
        author="ci.yml",
        created=at(60),
        validation_run=1,
    )
    folder = current_settings().home / "devops" / "pull_requests"
    folder.mkdir(parents=True)
    for request in (done, opened):
        (folder / f"{request.id}.json").write_text(request.model_dump_json(), encoding="utf-8")
    return done, opened
