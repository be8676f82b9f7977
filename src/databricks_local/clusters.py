"""The workspace's clusters, and how often one had to be started.

A cluster that does not exist is 400 INVALID_PARAMETER_VALUE "Cluster … does not exist" (source: the SDK,
`errors/overrides.py`). A cluster that the caller may not use is 403 PERMISSION_DENIED (assumed, as is its message).
Starts are counted once per run for serverless compute and for each job cluster that is used, once per task for a new
cluster, and for an existing cluster only if it was terminated (our reading of how the service shares compute).
"""

from typing import Any

from databricks_local import bodies
from databricks_local.answers import Refused, Request, Route, invalid


class ClusterList:
    """The clusters, by their ids: {"state": …, "permitted": …, "spark_version": …, "node_type_id": …}."""

    def __init__(self, clusters: dict[str, dict[str, Any]]) -> None:
        self.clusters = clusters
        self.starts = 0

    def routes(self) -> list[Route]:
        """Return the routes that this class answers."""
        return [("GET", r"/api/2\.[01]/clusters/get", self._get)]

    def require(self, cluster_id: str) -> dict[str, Any]:
        """Return the cluster, or refuse where the caller may not use it."""
        if cluster_id not in self.clusters:
            raise invalid(f"Cluster {cluster_id} does not exist")
        cluster = self.clusters[cluster_id]
        if not cluster.get("permitted", True):
            raise Refused(
                403, "PERMISSION_DENIED", f"You do not have permission to attach to or restart cluster {cluster_id}."
            )
        return cluster

    def start_for(self, task: bodies.Task, started: set[str]) -> None:
        """Start the compute of this task, unless it runs; `started` are the keys that its run has started."""
        if task.existing_cluster_id is not None:
            cluster = self.clusters[task.existing_cluster_id]
            if cluster.get("state") != "RUNNING":
                cluster["state"] = "RUNNING"
                self.starts += 1
            return
        if task.new_cluster is not None:
            self.starts += 1
            return
        key = (task.job_cluster_key if isinstance(task, bodies.JobTask) else None) or ""
        if key not in started:
            started.add(key)
            self.starts += 1

    def _get(self, request: Request) -> dict[str, Any]:
        cluster_id = request.query.get("cluster_id", "")
        cluster = self.require(cluster_id)
        return {
            "cluster_id": cluster_id,
            "cluster_name": cluster.get("cluster_name", cluster_id),
            "state": cluster.get("state", "RUNNING"),
            "spark_version": cluster.get("spark_version", "16.4.x-scala2.13"),
            "node_type_id": cluster.get("node_type_id", "Standard_D4ds_v5"),
            "data_security_mode": cluster.get("data_security_mode", "SINGLE_USER"),
        }
