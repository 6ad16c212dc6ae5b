"""Baselines H0: cheap Hamiltonians that PySCF's integrals give without an SCF; networks learn ΔH = H − H0."""

from hampred.baseline.base import BASELINES, Baseline, LocalBaseline, baseline_from_state, make_baseline

__all__ = ["BASELINES", "Baseline", "LocalBaseline", "baseline_from_state", "make_baseline"]
