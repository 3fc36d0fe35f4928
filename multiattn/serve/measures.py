"""What Prometheus reads of a server."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCHES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Measures:
    """Counts requests by status, how long answers took, and how many were decoded together."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._registry = own
        self.requests = Counter(
            "multiattn_requests", "Requests for a prediction", ["status"], registry=own
        )
        self.seconds = Histogram(
            "multiattn_answer_seconds",
            "Seconds from a request to its answer",
            buckets=SECONDS,
            registry=own,
        )
        self.batch = Histogram(
            "multiattn_batch_inputs", "Inputs decoded together", buckets=BATCHES, registry=own
        )
        self.waiting = Gauge("multiattn_waiting_requests", "Requests that wait", registry=own)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self._registry)
