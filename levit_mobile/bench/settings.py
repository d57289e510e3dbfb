"""How long to measure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """What a run is made of; benchmark_model and MLPerf's single stream have the same parts.

    Attributes:
        threads: that the runtime may use, one run for each number.
        warmup_runs: inferences, at least, that are not counted.
        warmup_s: seconds, at least, of the same.
        min_runs: inferences, at least.
        min_s: seconds, at least.
        max_s: seconds after which a run ends in any case.
        cooldown_s: seconds between runs.
        governor: of the processor's clock, set for the time of the bench; None leaves it.
        every_s: seconds between readings of temperature, clock and load.
    """

    threads: tuple[int, ...] = (1,)
    warmup_runs: int = 10
    warmup_s: float = 0.5
    min_runs: int = 100
    min_s: float = 3.0
    max_s: float = 600.0
    cooldown_s: float = 2.0
    governor: str | None = None
    every_s: float = 2.0

    def job(self) -> dict[str, Any]:
        """The part that each job of a request has."""
        keys = ("warmup_runs", "warmup_s", "min_runs", "min_s", "max_s")
        return {key: getattr(self, key) for key in keys}

    def request(self) -> dict[str, Any]:
        """The part that a request has."""
        return {key: getattr(self, key) for key in ("cooldown_s", "governor", "every_s")}

    def to_dict(self) -> dict[str, Any]:
        """As results have it."""
        return {**asdict(self), "threads": list(self.threads)}
