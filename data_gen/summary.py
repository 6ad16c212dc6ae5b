"""What a generation tells while it runs and at its end."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Failure:
    """One structure without a label.

    Attributes:
        key: Name of the task.
        kind: ``refused``, ``not converged``, ``bad label``, ``crashed``, ``timeout``, ``out of memory`` or ``error``.
        reason: What happened.
        molecule: Which molecule it was.
        source: Where the geometry came from.
    """

    key: str
    kind: str
    reason: str
    molecule: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain JSON types."""
        return asdict(self)


@dataclass
class Progress:
    """State of a running generation.

    Attributes:
        total: Structures in all.
        done: Labels that stand on disk.
        resumed: Of these, labels from an earlier run.
        failed: Structures without a label.
        failed_before: Of these, failures from an earlier run and refusals of the guard.
        seconds: Since the first task of this run.
        message: What happens now.
    """

    total: int
    done: int = 0
    resumed: int = 0
    failed: int = 0
    failed_before: int = 0
    seconds: float = 0.0
    message: str = "labels"

    @property
    def rate(self) -> float:
        """Labels and failures a second of this run; 0 before the first."""
        fresh = self.done - self.resumed + self.failed - self.failed_before
        return fresh / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float | None:
        """Seconds left, None before the first label."""
        return (self.total - self.done - self.failed) / self.rate if self.rate > 0 else None


@dataclass(frozen=True)
class GenerationSummary:
    """Result of a generation.

    Attributes:
        store: The packed labels.
        n_structures: Structures asked for, duplicates aside.
        n_labels: Labels in the store.
        n_new: Labels computed by this run.
        failures: Structures without a label.
        label_noise: Mean absolute change of F when one structure is computed in another orientation (a crystal also
            shifted against its grid), Hartree, or None.
        wall_s: Seconds of this run.
        cpu_s: CPU seconds of the SCF of this run's labels.
    """

    store: Path
    n_structures: int
    n_labels: int
    n_new: int
    failures: tuple[Failure, ...] = field(default_factory=tuple)
    label_noise: float | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, units in the names."""
        counts: dict[str, int] = {}
        for failure in self.failures:
            counts[failure.kind] = counts.get(failure.kind, 0) + 1
        return {
            "store": str(self.store),
            "n_structures": self.n_structures,
            "n_labels": self.n_labels,
            "n_new": self.n_new,
            "n_failed": len(self.failures),
            "failed_by_kind": counts,
            "failures": [failure.to_dict() for failure in self.failures],
            "label_noise_Eh": self.label_noise,
            "wall_s": round(self.wall_s, 2),
            "cpu_s_per_label": round(self.cpu_s / self.n_new, 3) if self.n_new else None,
        }
