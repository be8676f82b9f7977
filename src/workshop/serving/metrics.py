"""The metrics for Prometheus at /metrics."""

from collections.abc import Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from workshop.core.registry.follower import Follower


class Metrics:
    """The metrics of one server: its requests, and the state of its follower."""

    def __init__(self, follower: Follower) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "workshop_requests", "Requests, by path and status code.", ["path", "code"], registry=self._registry
        )
        help_text = "Seconds from a request's headers to the end of its answer."
        self._seconds = Histogram("workshop_request_seconds", help_text, ["path"], registry=self._registry)
        self._registry.register(_OfFollower(follower))

    def record(self, path: str, status: int, seconds: float) -> None:
        """Count one request; `path` must be one of a few, since each new one takes memory."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _OfFollower(Collector):
    """Metrics of the follower, read at each scrape from one state, so that they are consistent."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def collect(self) -> Iterator[Metric]:
        """Yield the follower's state as metrics."""
        state = self._follower.state
        name, slot = self._follower.slots.model_name, self._follower.slot.value
        labels = {"model": name, "slot": slot, "version": state.model.version}
        age = (datetime.now(UTC) - state.in_step).total_seconds()
        yield InfoMetricFamily("workshop_model", "The model version that answers.", labels)
        yield CounterMetricFamily("workshop_swaps", "Swaps of the version that answers.", state.swaps)
        yield CounterMetricFamily("workshop_failed_loads", "Failed attempts to load a version.", state.failed_loads)
        yield GaugeMetricFamily(
            "workshop_seconds_since_in_step", "Seconds since the version that answers was last found in the slot.", age
        )
