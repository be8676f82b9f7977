"""The facts of the team's Azure DevOps, read from its folder."""

from pathlib import Path

from azure_devops_local.run_store import Issue, Job, Run, Runs, Stage, Step
from azure_devops_local.server import pull_requests, repository
from tests.support.team import Clone
from tests.unit.course.readers.conftest import PATH, merge, notebook
from workshop.course import checking
from workshop.course.facts import PipelineRun
from workshop.course.readers import everything, team

ADDRESS = "ana@example.org"


def stored(clone: Clone, **fields: object) -> Run:
    return Runs().add(Run(pipeline="cd.yml", branch="main", commit=clone.head(), **fields))


def test_nothing_is_there_before_the_start(home: Path) -> None:
    assert team.read(home / "devops", ADDRESS) == (None, {})


def test_runs_without_a_repository(clone: Clone, home: Path) -> None:
    stored(clone)
    found, _ = team.read(home / "devops", ADDRESS)
    assert found is not None
    assert (found.path, [run.number for run in found.runs]) == ("", [1])


def test_a_run_with_its_steps_and_the_end_of_the_log(team: Clone, home: Path) -> None:
    step = Step(name="Run", result="failed", log="1.log", issues=[Issue(kind="error", text="exit code 1")])
    job = Job(name="deliver", environment="production", approved_by="Bob", steps=[Step(name="Set up"), step])
    run = stored(
        team, state="completed", result="failed", reason="manual", tags=["not better"],
        stages=[Stage(name="", jobs=[job])], problem="It was late.",
    )  # fmt: skip
    (Runs().folder_of(run.number) / "1.log").write_text(
        "early\n" * 2000 + "OperationFailed: part_1_1\n", encoding="utf-8"
    )

    found = everything.read(team.path).team

    assert found is not None
    (read,) = found.runs
    assert read.log_end.endswith("OperationFailed: part_1_1\n")
    assert len(read.log_end) <= 4000  # bytes
    assert read == PipelineRun(
        1, "cd.yml", "main", team.head(), "manual", "completed", "failed", ("It was late.", "exit code 1"),
        read.log_end, frozenset({"not better"}), deploys=True, approved_by="Bob",
    )  # fmt: skip


def test_requests_branches_and_ancestry(team: Clone, home: Path) -> None:
    team.commit({PATH: notebook("a change")}, branch="dev-ana")
    team.push("dev-ana")
    merged = merge(team, "dev-ana", "integration", 1)
    pull_requests.create("integration", "main", "", "## Version 2 holds Staging", "Ana")

    found = everything.read(team.path).team

    assert found is not None
    assert found.path == str(repository.repository())
    assert found.branches["integration"] == merged
    assert found.contains(merged, team.head())
    assert not found.contains(team.head(), merged)
    assert [(each.source, each.target, each.status) for each in found.requests] == [
        ("dev-ana", "integration", "completed"),
        ("integration", "main", "active"),
    ]
    assert found.requests[1].description == "## Version 2 holds Staging"


def test_damaged_records_are_named_and_block_only_what_they_decide(team: Clone, home: Path) -> None:
    stored(team)
    for folder, name in (("runs/2", "run.json"), ("pull_requests", "3.json")):
        (home / "devops" / folder).mkdir(parents=True, exist_ok=True)
        (home / "devops" / folder / name).write_text("{", encoding="utf-8")

    facts = everything.read(team.path, "ana")

    assert set(facts.damaged) == {"runs", "requests"}
    assert "the record of pipeline run 2 in" in facts.damaged["runs"]
    assert facts.team is not None
    assert [run.number for run in facts.team.runs] == [1]
    states = {line.criterion.id: line.finding.state for line in checking.judge(facts)}
    assert states["merged"] == states["failed"] == states["waits"] == "can't tell"
    assert states["changed"] == states["branch"] == "not yet"
