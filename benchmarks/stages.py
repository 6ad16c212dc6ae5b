"""One prediction of a large molecule, stage by stage: seconds and memory of each, in a process of its own."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from record import say

import hampred
from hampred.data.system import half_baseline
from hampred.electronic.sparse_eigen import SparseEigenproblem
from hampred.electronic.sparse_state import SparseState
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.interop.neighbors import neighbor_pairs
from hampred.large import predict_large, require_local
from hampred.nn.portions import LargeGraph, corrected, correction_blocks

LINEAR = ("graph", "overlap", "baseline", "network", "assembly")

LARGEST_KEPT = 2**25 - 2**13
"""Bytes of the largest block whose memory glibc keeps for later, once one of this size has been freed. Before that a
small molecule is slowed down by memory given back and taken anew, a large one is not, and small ones look too dear."""

CHECKED = 10_000
"""Orbitals up to which a factorisation proves that the truncated S is positive definite."""


class Stages:
    """Wall seconds, CPU seconds and peak memory (GiB) of each stage of one prediction."""

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, float]] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures what happens inside."""
        Path("/proc/self/clear_refs").write_text("5")  # sets the peak back
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        figures = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        self.figures[name] = figures | {"peak_GiB": int(status["VmHWM"].split()[0]) / 2**20}
        say(f"  {name}: {figures['wall_s']:.2f} s, {self.figures[name]['peak_GiB']:.2f} GiB")

    def sums(self) -> dict[str, float]:
        """Of all but the diagonalisation."""
        return {f"linear_{kind}": sum(self.figures[name][kind] for name in LINEAR) for kind in ("wall_s", "cpu_s")}


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a new process: no memory is at hand that something else has used before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure(model: Path, first: Atoms, atoms: Atoms, k: int) -> dict:
    """One prediction as `hampred.large.predict_large` makes it.

    Args:
        model: What `hampred.load` reads.
        first: A small molecule, which is predicted before, so that all code is loaded.
        atoms: The molecule.
        k: Orbitals on each side of the gap; 0 leaves the diagonalisation out.
    """
    torch.set_num_threads(1)
    bytearray(LARGEST_KEPT)  # freed at once
    predictor = hampred.load(model)
    predict_large(predictor, first)
    state, figures = _by_stages(predictor, atoms, stages := Stages())
    if k:
        with stages.stage("eigen"):
            frontier = state.frontier(k)
        h, s = state.hamiltonian, state.overlap
        residual = h @ frontier.coefficients - (s @ frontier.coefficients) * frontier.energies
        checked = s.shape[0] <= CHECKED
        figures |= {
            "homo_Eh": frontier.homo,
            "lumo_Eh": frontier.lumo,
            "overlap_negative_eigenvalues": SparseEigenproblem(s, s).factorised(0.0).n_negative if checked else None,
            "levels_Eh": frontier.energies.tolist(),
            "largest_residual_Eh": float(np.linalg.norm(residual, axis=0).max()),
        }
    return figures | {"stages": stages.figures, **stages.sums()}


def _by_stages(predictor: Predictor, atoms: Atoms, stages: Stages) -> tuple[SparseState, dict]:
    """A prediction without its orbitals, and its size."""
    net, baseline = require_local(predictor)
    integrals = Integrals(atoms, predictor.level.basis)
    with stages.stage("overlap"):
        overlap = integrals.half_overlap
    with stages.stage("baseline"):
        h0 = half_baseline(baseline, integrals)
    known = {"overlap": overlap, "baseline": h0}
    with stages.stage("graph"):
        graph = LargeGraph(integrals, net, [known[name] for name in net.inputs])
    with stages.stage("network"):
        blocks = correction_blocks(net, graph)
    with stages.stage("assembly"):
        h, s = corrected(net, graph, h0, blocks)
    size = {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "n_orbitals": s.shape[0],
        "overlap_elements": int(s.nnz),
        "pairs": len(neighbor_pairs(atoms, net.pair_cutoff)[0]),
    }
    return SparseState(atoms, graph.layout, h, s, integrals.n_electrons // 2), size
