from typing import Any

import pytest
from databricks.sdk.service import jobs

from workshop.databricks import job
from workshop.databricks.job import Work
from workshop.databricks.settings import DatabricksSettings

NAMES = ["part_1_1_data_prep", "part_1_2_training", "part_1_3_evaluating"]
WORK = Work(
    title="workshop Deployment wine_quality",
    base_parameters={name: {"run_name": "main", "WORKSHOP_RUN_ID": "x"} for name in NAMES},
    notebook_folder="/Workspace/Shared/workshop/code/c0ffee/notebooks",
    requirements=("/Workspace/Shared/workshop/code/c0ffee/workshop.whl", "mlflow==3.17.2"),
    commit="c0ffee" * 6 + "c0ff",
)


def as_dicts(tasks: list[Any]) -> list[dict[str, Any]]:
    return [task.as_dict() for task in tasks]


def test_the_notebooks_run_one_after_the_other() -> None:
    tasks = job.submission(WORK, DatabricksSettings())["tasks"]
    assert [task.task_key for task in tasks] == NAMES
    assert [[each.task_key for each in task.depends_on or []] for task in tasks] == [[], [NAMES[0]], [NAMES[1]]]
    assert {task.max_retries for task in tasks} == {0}


@pytest.mark.parametrize(
    ("settings", "one_compute"),
    [
        (DatabricksSettings(), {"environment_key": "workshop"}),
        (DatabricksSettings(compute="cluster", cluster_id="0101-x"), {"existing_cluster_id": "0101-x"}),
    ],
)
def test_all_tasks_share_one_compute(settings: DatabricksSettings, one_compute: dict[str, str]) -> None:
    for task in as_dicts(job.submission(WORK, settings)["tasks"]):
        assert one_compute.items() <= task.items()
        assert "new_cluster" not in task


def test_a_job_cluster_is_shared_by_all_tasks_of_a_job() -> None:
    made = job.job(WORK, DatabricksSettings(compute="job_cluster"))
    (cluster,) = made["job_clusters"]
    assert {task.job_cluster_key for task in made["tasks"]} == {cluster.job_cluster_key}
    assert cluster.new_cluster.num_workers == 0
    assert cluster.new_cluster.spark_conf["spark.databricks.cluster.profile"] == "singleNode"


def test_a_cluster_with_workers_is_no_single_node() -> None:
    (cluster,) = job.job(WORK, DatabricksSettings(compute="job_cluster", workers=4))["job_clusters"]
    assert (cluster.new_cluster.num_workers, cluster.new_cluster.spark_conf) == (4, None)


@pytest.mark.parametrize("compute", ["serverless", "cluster"])
@pytest.mark.parametrize("code", ["upload", "git"])
def test_a_submitted_run_and_a_job_differ_only_in_the_name(compute: Any, code: Any) -> None:
    settings = DatabricksSettings(compute=compute, cluster_id="c", code=code, git_url="https://example.com/repo")
    run, deployed = job.submission(WORK, settings), job.job(WORK, settings)
    assert as_dicts(run.pop("tasks")) == as_dicts(deployed.pop("tasks"))
    assert (run.pop("run_name"), deployed.pop("max_concurrent_runs")) == (deployed.pop("name"), 1)
    assert run == deployed


def test_code_from_git_is_the_commit() -> None:
    settings = DatabricksSettings(code="git", git_url="https://dev.azure.com/org/project/_git/wine")
    made = job.submission(WORK, settings)
    assert made["git_source"].as_dict() == {
        "git_url": "https://dev.azure.com/org/project/_git/wine",
        "git_provider": "azureDevOpsServices",
        "git_commit": WORK.commit,
    }
    assert {task.notebook_task.source for task in made["tasks"]} == {jobs.Source.GIT}


def test_each_way_installs_the_wheel_and_the_pins() -> None:
    serverless = job.submission(WORK, DatabricksSettings())
    assert serverless["environments"][0].spec.dependencies == list(WORK.requirements)
    on_a_cluster = job.submission(WORK, DatabricksSettings(compute="cluster", cluster_id="c"))
    assert as_dicts(on_a_cluster["tasks"])[0]["libraries"] == [
        {"whl": WORK.requirements[0]},
        {"pypi": {"package": "mlflow==3.17.2"}},
    ]
