"""How do time and memory of a prediction grow with the molecule, from 10 to 3,000 atoms, stage by stage?

Droplets and columns cut from liquid water (`liquid_water.xyz`), and alkane chains. All stages but the diagonalisation
should cost linear time; the orbitals around the gap come from a factorisation of H − σS
(`hampred.electronic.sparse_eigen`). In a droplet an atom has more neighbours the larger the droplet is, until all but
its surface is bulk; a column or a chain shows the cost of an atom by itself. Small ones are cut from several places in
the liquid, since no two have equally many neighbours, and every prediction has a process of its own, as it would from
the command line: fresh memory costs a large molecule much, and must cost a small one its share.

    python benchmarks/scaling.py [--max-atoms N] [--systems droplet column chain] [--model RUN] [--out scaling]

Without ``--model``, the baseline is fitted to a few labels made on the spot and the network has random weights of small
width: the time is that of a trained model, the energies are about those of the baseline.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")  # virtual machines take their time to find huge pages

from pathlib import Path
from statistics import mean

import numpy as np
import torch
from ase import Atoms
from ase.io import read
from record import arguments_of, print_table, run, say, write_record
from stages import LINEAR, in_own_process, measure

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.baseline import make_baseline
from hampred.basis import OrbitalBasis
from hampred.config import LevelConfig
from hampred.inference import Predictor
from hampred.interop.overlap_range import NEGLIGIBLE
from hampred.large import require_local
from hampred.model_file import Model, save_model
from hampred.nn.models import build_net

SIZES = (10, 30, 100, 300, 1000, 3000)
FITTED_FROM, LARGE_FROM = 100, 1000
"""Atoms from which exponents are fitted, and once more."""

PLACES = 8
"""At most so many molecules of one size are predicted, if together they have no more atoms than the largest size."""

MEANS = ("linear_wall_s", "linear_cpu_s", "overlap_elements", "pairs")

LIQUID = Path(__file__).with_name("liquid_water.xyz")
"""125 molecules in a periodic box (`liquid_water.py`)."""

NET = {"cutoff": 4.0, "pair_cutoff": 5.0, "inputs": ["overlap", "baseline"], "forms": ["covariant"]}
"""Without blocks beyond 5 Å small organic molecules are predicted as well as with them; with messages to 4 Å instead of
5 Å a little worse (`ablations.py`)."""


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


SYSTEMS = {  # of so many atoms, at some place
    "droplet": lambda n, place: water(max(n // 3, 1), seed=place),
    "column": lambda n, place: water(max(n // 3, 1), column=True, seed=place),
    "chain": lambda n, place: alkane(max((n - 2) // 3, 2)),
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


def averaged(rows: list[dict]) -> dict:
    """The first of some predictions of like molecules, with the mean times and numbers of all of them."""
    found = dict(rows[0])
    for key in MEANS:
        found[key] = mean(row[key] for row in rows)
    found["stages"] = rows[0]["stages"] | {
        name: {kind: mean(row["stages"][name][kind] for row in rows) for kind in rows[0]["stages"][name]}
        for name in LINEAR
    }
    return found | {"n_places": len(rows)}


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
    model = options.model or options.out / "model.safetensors"
    if not options.model:
        save_model(model, quick_model().model)
    predictor = hampred.load(model)
    require_local(predictor)

    results: dict[str, list[dict]] = {name: [] for name in options.systems}
    slopes: dict[str, dict[str, float]] = {}
    for name in options.systems:
        for size in [size for size in SIZES if size <= options.max_atoms]:
            results[name].append(averaged(predictions(model, name, size, options.k)))
            slopes[name] = exponents(results[name])
            figures = {"results": results, "exponents": slopes, "net": predictor.model.net.settings()}
            figures |= {"overlap_threshold": NEGLIGIBLE, "baseline": predictor.baseline_name}
            write_record(options.out / "scaling.json", figures)
    report(results, slopes)


def predictions(model: Path, name: str, size: int, k: int) -> list[dict]:
    """Molecules of one size at different places; k orbitals on each side of the gap of the first one."""
    found = []
    for place in range(min(max(SIZES[-1] // size, 1), PLACES) if size >= FITTED_FROM else 1):
        first, atoms = SYSTEMS[name](SIZES[0], place), SYSTEMS[name](size, place)
        say(f"{name}: {len(atoms)} atoms, place {place}")
        found.append(in_own_process(measure, model, first, atoms, 0 if place else k))
    return found


if __name__ == "__main__":
    run(main)
