"""How do time and memory of a prediction grow with the molecule, from 10 to 3,000 atoms, stage by stage?

Droplets and columns cut from liquid water (`liquid_water.xyz`), and alkane chains. All stages but the diagonalisation
should cost linear time; the orbitals around the gap come from a factorisation of H − σS
(`hampred.electronic.sparse_eigen`). In a droplet an atom has more neighbours the larger the droplet is, until all but
its surface is bulk; a column or a chain shows the cost of an atom by itself.

    python benchmarks/scaling.py [--max-atoms N] [--systems droplet column chain] [--model RUN] [--out scaling]

Without ``--model``, the baseline is fitted to a few labels made on the spot and the network has random weights of small
width: the time is that of a trained model, the energies are about those of the baseline.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")  # virtual machines take their time to find huge pages

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from record import arguments_of, print_table, run, say, write_record

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.baseline import make_baseline
from hampred.basis import OrbitalBasis
from hampred.config import LevelConfig
from hampred.data.system import half_baseline
from hampred.electronic.sparse_eigen import SparseEigenproblem
from hampred.electronic.sparse_state import SparseState
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.interop.neighbors import neighbor_pairs
from hampred.interop.overlap_range import NEGLIGIBLE
from hampred.large import require_local
from hampred.model_file import Model
from hampred.nn.models import build_net
from hampred.nn.portions import LargeGraph, corrected, correction_blocks

SIZES = (10, 30, 100, 300, 1000, 3000)
LINEAR = ("graph", "overlap", "baseline", "network", "assembly")
FITTED_FROM, LARGE_FROM = 100, 1000
"""Atoms from which exponents are fitted, and once more."""

CHECKED = 10_000
"""Orbitals up to which a factorisation proves that the truncated S is positive definite."""

LIQUID = Path(__file__).with_name("liquid_water.xyz")
"""125 molecules in a periodic box (`liquid_water.py`)."""

NET = {"cutoff": 5.0, "pair_cutoff": 5.0, "inputs": ["overlap", "baseline"], "forms": ["covariant"]}
"""Without blocks beyond 5 Å small organic molecules are predicted as well as with them (`ablations.py`)."""


def water(n: int, column: bool = False, seed: int = 0) -> Atoms:
    """n molecules of liquid water: those nearest to some point, or a column of 10 Å by 10 Å around it."""
    box = read(LIQUID)
    edge, volume = box.cell[0, 0], 3 * box.get_volume() / len(box)
    reach = int(np.ceil((n * volume / 200 if column else np.cbrt(n * volume)) / edge)) + 1
    across = 2 if column else reach
    images = np.stack(np.meshgrid(*2 * [np.arange(-across, across)], np.arange(-reach, reach), indexing="ij"), -1)
    centre = np.random.default_rng(seed).uniform(0, edge, 3)
    molecules = (box.positions.reshape(-1, 3, 3) + edge * images.reshape(-1, 1, 1, 3) - centre).reshape(-1, 3, 3)
    if column:
        molecules = molecules[np.abs(molecules[:, 0, :2]).max(axis=1) < 5]
    far = np.abs(molecules[:, 0, 2]) if column else np.linalg.norm(molecules[:, 0], axis=1)
    return Atoms([8, 1, 1] * n, molecules[np.argsort(far)[:n]].reshape(-1, 3))


def alkane(n: int) -> Atoms:
    """CₙH₂ₙ₊₂ in its all-trans form, C–C 1.53 Å, C–H 1.09 Å, every angle tetrahedral."""
    angle = np.arccos(-1 / 3)
    step, rise = 1.53 * np.sin(angle / 2), 1.53 * np.cos(angle / 2) / 2
    carbons = np.array([[k * step, (-1) ** k * rise, 0.0] for k in range(n)])
    out, side = 1.09 * np.cos(angle / 2), 1.09 * np.sin(angle / 2)
    hydrogens = [x + [0.0, np.sign(x[1]) * out, sign * side] for x in carbons for sign in (-1, 1)]
    ends = [carbons[0] - [step, 2 * rise, 0.0], carbons[-1] + [step, -2 * np.sign(carbons[-1][1]) * rise, 0.0]]
    ends = [x + (end - x) * 1.09 / 1.53 for x, end in zip(carbons[[0, -1]], ends)]
    return Atoms([6] * n + [1] * (2 * n + 2), np.concatenate([carbons, hydrogens, ends]))


SYSTEMS = {
    "droplet": lambda n: water(max(n // 3, 1)),
    "column": lambda n: water(max(n // 3, 1), column=True),
    "chain": lambda n: alkane(max((n - 2) // 3, 2)),
}


def quick_model() -> Predictor:
    """The baseline `projectors` fitted to water dimers and butane, and a network with random weights."""
    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="def2-svp", grid_level=1))
    frames = [water(2, seed=seed) for seed in range(3)] + [alkane(4)]
    samples = []
    for seed, atoms in enumerate(frames):
        atoms.rattle(0.03, seed=seed)
        samples.append(backend.label(atoms))
    baseline = make_baseline("projectors", backend.level)
    baseline.fit(samples)
    torch.manual_seed(0)
    net = build_net("bond_frame", OrbitalBasis.from_name("def2-svp", [1, 6, 8]), NET)
    for scaling in (net.onsite_scaling, net.offsite_scaling):
        scaling.width.fill_(1e-5)
    return Predictor(Model(net, baseline, backend.level))


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


def measure(predictor: Predictor, atoms: Atoms, k: int) -> dict:
    """One prediction as `hampred.large.predict_large` makes it, and k orbitals on each side of the gap."""
    (net, baseline), stages = require_local(predictor), Stages()
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
        h = corrected(net, graph, h0, blocks)
        s = integrals.to_sparse(overlap)
    state = SparseState(atoms, graph.layout, h, s, integrals.n_electrons // 2)
    del blocks, known, h0, overlap, graph, integrals
    with stages.stage("eigen"):
        frontier = state.frontier(k)
    checked = s.shape[0] <= CHECKED
    residual = h @ frontier.coefficients - (s @ frontier.coefficients) * frontier.energies
    return {
        "formula": atoms.get_chemical_formula(),
        "n_atoms": len(atoms),
        "n_orbitals": s.shape[0],
        "overlap_elements": int(s.nnz),
        "pairs": pairs_within(atoms, net.pair_cutoff),
        "linear_wall_s": sum(stages.figures[name]["wall_s"] for name in LINEAR),
        "linear_cpu_s": sum(stages.figures[name]["cpu_s"] for name in LINEAR),
        "stages": stages.figures,
        "homo_Eh": frontier.homo,
        "lumo_Eh": frontier.lumo,
        "overlap_negative_eigenvalues": SparseEigenproblem(s, s).factorised(0.0).n_negative if checked else None,
        "levels_Eh": frontier.energies.tolist(),
        "largest_residual_Eh": float(np.linalg.norm(residual, axis=0).max()),
    }


def pairs_within(atoms: Atoms, cutoff: float) -> int:
    """Pairs of atoms, the least that anything local has to look at; molecules with a surface have fewer for each."""
    return len(neighbor_pairs(atoms, cutoff)[0])


def fitted_rows(rows: list[dict], first: int = FITTED_FROM) -> list[dict]:
    """Those of at least about so many atoms."""
    return [row for row in rows if row["n_atoms"] >= 0.9 * first]


def exponents(rows: list[dict], first: int = FITTED_FROM) -> dict[str, float]:
    """Slopes of log time (CPU) and of the numbers of elements and pairs over log atoms, from so many atoms."""
    rows = fitted_rows(rows, first)
    if len(rows) < 2:
        return {}
    columns = {name: [row["stages"][name]["cpu_s"] for row in rows] for name in (*LINEAR, "eigen")}
    columns |= {
        key: [row[key] for row in rows] for key in ("linear_cpu_s", "linear_wall_s", "overlap_elements", "pairs")
    }
    atoms = np.log([row["n_atoms"] for row in rows])
    return {name: float(np.polyfit(atoms, np.log(np.maximum(t, 1e-4)), 1)[0]) for name, t in columns.items()}


def report(results: dict[str, list[dict]], slopes: dict[str, dict[str, float]]) -> None:
    """One table: wall seconds of each stage, peak memory, energies; last, the exponents."""
    head = (
        "system",
        "atoms",
        "orbitals",
        *(f"{n} / s" for n in (*LINEAR, "eigen")),
        "peak / GiB",
        "HOMO",
        "LUMO / E_h",
    )
    rows = []
    for name, measured in results.items():
        for row in measured:
            times = [row["stages"][stage]["wall_s"] for stage in (*LINEAR, "eigen")]
            peak = max(figures["peak_GiB"] for figures in row["stages"].values())
            rows.append([name, row["n_atoms"], row["n_orbitals"], *times, peak, row["homo_Eh"], row["lumo_Eh"]])
        if found := slopes[name]:
            rows.append([f"{name}: exponents", None, None, *(found[n] for n in (*LINEAR, "eigen")), None, None, None])
    print_table("Prediction of large molecules: wall time of each stage, exponents of CPU time", head, rows)
    for name, found in slopes.items():
        if found:
            cpu, wall, elements, pairs = (
                found[key] for key in ("linear_cpu_s", "linear_wall_s", "overlap_elements", "pairs")
            )
            print(
                f"{name}: all but the eigen-solver ~ N^{cpu:.2f} (CPU), N^{wall:.2f} (wall); elements of S ~ "
                f"N^{elements:.2f}, pairs of atoms within the cutoff of the blocks ~ N^{pairs:.2f}"
            )
            each = [1e3 * row["linear_cpu_s"] / row["pairs"] for row in fitted_rows(results[name])]
            line = f"{name}: {min(each):.2f} to {max(each):.2f} ms of CPU time for each of these pairs"
            late = exponents(results[name], LARGE_FROM)
            print(f"{line}; from {LARGE_FROM:,} atoms ~ N^{late['linear_cpu_s']:.2f} (CPU)" if late else line)


def main() -> None:
    parser = arguments_of(__doc__, "scaling")
    parser.add_argument("--model", type=Path, help="trained model with a local baseline")
    parser.add_argument("--max-atoms", type=int, default=max(SIZES), help="largest molecule")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--k", type=int, default=5, help="orbitals on each side of the gap")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    predictor = hampred.load(options.model) if options.model else quick_model()
    require_local(predictor)

    results: dict[str, list[dict]] = {name: [] for name in options.systems}
    slopes: dict[str, dict[str, float]] = {}
    for name in options.systems:
        for size in [size for size in SIZES if size <= options.max_atoms]:
            atoms = SYSTEMS[name](size)
            say(f"{name}: {len(atoms)} atoms")
            results[name].append(measure(predictor, atoms, options.k))
            slopes[name] = exponents(results[name])
            figures = {"results": results, "exponents": slopes, "net": predictor.model.net.settings()}
            figures |= {"overlap_threshold": NEGLIGIBLE, "baseline": predictor.baseline_name}
            write_record(options.out / "scaling.json", figures)
    report(results, slopes)


if __name__ == "__main__":
    run(main)
