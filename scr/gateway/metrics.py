"""What the gateway counts, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_SIZES = (1, 2, 4, 8, 16, 32)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder through which the processes of one gateway add up what they count."""


class Metrics:
    """Counters of one process; :meth:`page` shows those of all processes of the gateway."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self.requests = Counter("scr_requests", "Requests by route and status.", ["route", "status"], registry=own)
        self.decisions = Counter("scr_decisions", "Decided requests by what was done.", ["decision"], registry=own)
        self.failures = Counter(
            "scr_decision_failures", "Requests that could not be decided.", ["reason", "outcome"], registry=own
        )
        self.added = Histogram(
            "scr_edit_seconds", "Reading, deciding and rendering a request.", buckets=_SECONDS, registry=own
        )
        self.batches = Histogram("scr_batch_size", "Requests decided together.", buckets=_SIZES, registry=own)
        self.batch_seconds = Histogram("scr_batch_seconds", "Deciding a batch.", buckets=_SECONDS, registry=own)
        self.first_byte = Histogram(
            "scr_upstream_first_byte_seconds", "From asking the model server to its answer's head.", registry=own
        )
        self.overloads = Counter(
            "scr_overloads", "Requests refused as there was too much at once, by what of.", ["limit"], registry=own
        )
        self.writes = Counter("scr_fact_writes", "Changes of facts by kind.", ["kind"], registry=own)
        self.under_way = Gauge(
            "scr_requests_under_way", "Requests being answered.", registry=own, multiprocess_mode="livesum"
        )

    def batch(self, size: int, seconds: float) -> None:
        """Count a batch of decisions."""
        self.batches.observe(size)
        self.batch_seconds.observe(seconds)

    def page(self) -> tuple[bytes, str]:
        """The metrics as text, and the text's content type."""
        registry = self._registry
        if FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST

    def close(self) -> None:
        """Take this process's gauges out of the sum."""
        if FOLDER in os.environ:
            mark_process_dead(os.getpid())  # type: ignore[no-untyped-call]
