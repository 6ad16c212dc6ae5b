"""Any orientation from one example: an equivariant network against augmentation by rotations.

Labels one geometry of hydrogen peroxide (chiral, so that a mirror image is another molecule) with PBE/def2-SVP, trains

* hampred's network on that single label in that single orientation, and
* a plain perceptron on raw coordinates, of about as many weights, on 1, 10, 100, 500 and 1000 rotated copies of it,

and tests both on 500 random orientations that neither has seen, proper and improper ones in turn, against D H Dᵀ. The
error is the root mean square over all matrix elements: unlike the mean |δH| it does not depend on the axes, so that an
equivariant network must have the same error in every orientation, to rounding:

    python benchmarks/one_example.py [--out one_example] [--quick]

Both predict ΔH = H − H0 with PySCF's analytic superposition of atomic potentials as H0, which rotates exactly and has
nothing that is fitted to the label.
"""

import argparse
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from data_gen.backends.pyscf_molecule import PySCFMolecule
from hampred.baseline import Baseline, make_baseline
from hampred.config import LevelConfig
from hampred.data.dataset import label_graph
from hampred.data.sample import HamiltonianSample
from hampred.data.statistics import all_statistics
from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.model_file import Model
from hampred.nn.models import build_net
from hampred.training.loss import HamiltonianLoss
from hampred.units import MICRO_HARTREE

LEARNING_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
N_VALIDATION = 100
BATCH_SIZE = 100


@dataclass(frozen=True)
class Size:
    """How much is done."""

    channels: tuple[int, int] = (24, 8)  # natural and unnatural ones of hampred's network
    net_steps: int = 3000
    perceptron_steps: int = 3000
    counts: tuple[int, ...] = (1, 10, 100, 500, 1000)  # rotations that the perceptron is trained on
    n_test: int = 500


QUICK = Size(channels=(8, 4), net_steps=300, perceptron_steps=300, counts=(1, 10, 100), n_test=40)


def say(text: str):
    """Progress goes to stderr, results to stdout."""
    print(text, file=sys.stderr, flush=True)


def hydrogen_peroxide() -> Atoms:
    """A distorted geometry without any symmetry."""
    atoms = molecule("H2O2")
    atoms.rattle(0.05, seed=1)
    atoms.positions -= atoms.positions.mean(axis=0)
    return Atoms(atoms.numbers, atoms.positions)


def orientations(count: int, seed: int) -> list[np.ndarray]:
    """Random elements of O(3), every second one improper."""
    generator = np.random.default_rng(seed)
    return [random_rotation(generator, improper=bool(k % 2)) for k in range(count)]


def schedule(step: int, n_steps: int) -> float:
    """Warm-up over 3 % of the steps, then a cosine: the same for both networks."""
    return min(1.0, (step + 1) / (0.03 * n_steps)) * (0.5 + 0.5 * math.cos(math.pi * step / n_steps) + 1e-3)


def adamw(network: nn.Module, rate: float, n_steps: int):
    """Optimiser and schedule, the same for both networks."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=1e-4)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, n_steps))


# ---------------------------------------------------------------------------------------------------------------------
# hampred: one label, one orientation


def train_hampred(sample: HamiltonianSample, baseline: Baseline, size: Size) -> Model:
    """The library's own network, statistics and loss on one label, in float64."""
    torch.manual_seed(0)
    natural, unnatural = size.channels
    net = build_net("bond_frame", sample.basis, {"natural": natural, "unnatural": unnatural})
    label = label_graph(sample, baseline, net.decomposer, net.cutoff, net.pair_cutoff, net.inputs)
    net.set_statistics(*all_statistics([label], net.decomposer))
    loss_function = HamiltonianLoss(elements=1.0, orbitals=0.0)
    optimizer, scheduler = adamw(net, 4e-3, size.net_steps)
    for step in range(size.net_steps):
        loss = loss_function(*net.matrix_elements(label.graph, net(label.graph)), label)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        if step % 500 == 0:
            say(f"hampred: step {step}/{size.net_steps}, loss {loss.item() * 1e3:.2f} µE_h")
    return Model(net.eval(), baseline, sample.level)


def rms(error: np.ndarray) -> float:
    """Root mean square over the elements of a matrix, µE_h; turning the axes does not change it."""
    return float(np.sqrt(np.mean(error**2))) * MICRO_HARTREE


def measure_hampred(model: Model, sample: HamiltonianSample, rotations: list[np.ndarray]) -> dict[str, float]:
    """Error in the training orientation and in others, and how far predictions are from the rotated prediction."""
    predictor, label, layout = Predictor(model), sample.hamiltonian.to_dense(), sample.hamiltonian.layout
    first = predictor.predict(sample.atoms).hamiltonian
    turned = (Atoms(sample.atoms.numbers, sample.atoms.positions @ q.T) for q in rotations)
    errors, deviations = [], []
    for q, found in zip(rotations, predictor.predict_stream(turned)):
        d = layout.rotation(q)
        errors.append(rms(found.hamiltonian - d @ label @ d.T))
        deviations.append(np.abs(found.hamiltonian - d @ first @ d.T).max())
    train = rms(first - label)
    return {
        "n_parameters": model.net.n_parameters,
        "train_rms_uEh": train,
        "test_rms_uEh": float(np.mean(errors)),
        "test_rms_max_uEh": float(np.max(errors)),
        "largest_difference_of_errors_Eh": float(np.abs(np.array(errors) - train).max()) / MICRO_HARTREE,
        "largest_deviation_from_rotated_prediction_Eh": float(np.max(deviations)),
    }


# ---------------------------------------------------------------------------------------------------------------------
# A plain perceptron: coordinates in, matrix elements out


class Orientations:
    """Rotated copies of one label as a network without symmetry sees them.

    Attributes:
        inputs: Coordinates about the centre [n, 3 · n_atoms], Å.
        targets: Upper triangle of D ΔH Dᵀ [n, n_elements], Hartree.
        multiplicity: How often each element stands in the matrix [n_elements].
    """

    def __init__(self, sample: HamiltonianSample, correction: np.ndarray, rotations: list[np.ndarray]):
        layout = sample.hamiltonian.layout
        i, j = np.triu_indices(len(correction))
        matrices = [d @ correction @ d.T for d in map(layout.rotation, rotations)]
        self.inputs = torch.tensor(np.array([(sample.atoms.positions @ q.T).ravel() for q in rotations])).float()
        self.targets = torch.tensor(np.array([matrix[i, j] for matrix in matrices])).float()
        self.multiplicity = torch.tensor(np.where(i == j, 1.0, 2.0)).float()

    def __len__(self) -> int:
        return len(self.inputs)

    def rms(self, network: nn.Module) -> float:
        """Root mean square error over all matrix elements and orientations, µE_h."""
        with torch.no_grad():
            square = (network(self.inputs) - self.targets) ** 2
        return float((square @ self.multiplicity / self.multiplicity.sum()).mean().sqrt()) * MICRO_HARTREE


class Perceptron(nn.Module):
    """Three hidden layers; inputs and outputs are scaled by the training data, elements that never change are exact."""

    shift: Tensor
    scale: Tensor

    def __init__(self, data: Orientations, n_parameters: int):
        super().__init__()
        n_in, n_out = data.inputs.shape[1], data.targets.shape[1]
        # 2 w² + (n_in + n_out + 3) w + n_out weights
        linear = n_in + n_out + 3
        width = round((math.sqrt(linear**2 + 8 * (n_parameters - n_out)) - linear) / 4)
        self.layers = nn.Sequential(
            nn.Linear(n_in, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, n_out),
        )
        self.register_buffer("shift", data.targets.mean(0))
        self.register_buffer("scale", (data.targets - self.shift).square().mean().sqrt().clamp(min=1e-3))

    def forward(self, x: Tensor) -> Tensor:
        """Matrix elements of ΔH [n, n_elements], Hartree."""
        return self.shift + self.scale * self.layers(x)

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.parameters())


def train_perceptron(train: Orientations, validation: Orientations, rate: float, n_parameters: int, n_steps: int):
    """Best state, by the validation orientations, of one training.

    Returns:
        Validation error (µE_h) and network.
    """
    torch.manual_seed(0)
    network = Perceptron(train, n_parameters)
    optimizer, scheduler = adamw(network, rate, n_steps)
    best, state = math.inf, network.state_dict()
    for step in range(n_steps):
        chosen = torch.randperm(len(train))[:BATCH_SIZE]
        error = (network(train.inputs[chosen]) - train.targets[chosen]).abs() / network.scale
        loss = (error @ train.multiplicity).mean() / train.multiplicity.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        if (step + 1) % max(n_steps // 60, 1) == 0 and (found := validation.rms(network)) < best:
            best, state = found, {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(state)
    return best, network


def measure_perceptron(count: int, sample: HamiltonianSample, correction: np.ndarray, n_parameters: int, size: Size):
    """The best of a few learning rates on `count` rotations, tested on the same orientations as hampred."""
    # one rotation is the orientation in which hampred is trained
    train = Orientations(sample, correction, [np.eye(3), *orientations(count - 1, seed=2)])
    validation = Orientations(sample, correction, orientations(N_VALIDATION, seed=3))
    test = Orientations(sample, correction, orientations(size.n_test, seed=1))
    tried = {}
    for rate in LEARNING_RATES:
        tried[rate] = train_perceptron(train, validation, rate, n_parameters, size.perceptron_steps)
        say(f"perceptron on {count} rotations, learning rate {rate:g}: validation {tried[rate][0]:.1f} µE_h")
    rate = min(tried, key=lambda r: tried[r][0])
    network = tried[rate][1]
    return {
        "rotations": count,
        "n_parameters": network.n_parameters,
        "learning_rate": rate,
        "train_rms_uEh": train.rms(network),
        "test_rms_uEh": test.rms(network),
    }


# ---------------------------------------------------------------------------------------------------------------------
# Results


def show(results: dict):
    """The table."""
    net, rows = results["hampred"], results["perceptron"]
    title = f"H₂O₂, one label: RMS error of H over {results['size']['n_test']} unseen orientations"
    table = Table(title=title)
    table.add_column("network")
    for column in ("weights", "orientations seen", "error on them (µE_h)", "error on unseen ones (µE_h)", "× hampred"):
        table.add_column(column, justify="right")
    table.add_row("H0 alone", "", "", "", f"{results['baseline_rms_uEh']:.4g}", "")
    for row in rows:
        numbers = f"{row['train_rms_uEh']:.4g}", f"{row['test_rms_uEh']:.4g}"
        factor = f"{row['test_rms_uEh'] / net['test_rms_uEh']:.4g}"
        table.add_row("perceptron", f"{row['n_parameters']:,}", str(row["rotations"]), *numbers, factor)
    numbers = f"{net['train_rms_uEh']:.4g}", f"{net['test_rms_uEh']:.4g}"
    table.add_row("hampred", f"{net['n_parameters']:,}", "1", *numbers, "1")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"hampred: the error differs between orientations by at most {net['largest_difference_of_errors_Eh']:.1e} Ha, "
        f"and H from D H Dᵀ by at most {net['largest_deviation_from_rotated_prediction_Eh']:.1e} Ha (float64)",
        highlight=False,
    )


def plot(results: dict, path: Path):
    """Error against the number of rotations, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    net, rows = results["hampred"], results["perceptron"]
    counts = [row["rotations"] for row in rows]
    figure, axes = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    unseen, seen = ([row[f"{part}_rms_uEh"] for row in rows] for part in ("test", "train"))
    axes.loglog(counts, unseen, "o-", color="C3", label="perceptron, unseen orientations")
    axes.loglog(counts, seen, "o:", color="C3", alpha=0.5, label="… seen ones")
    axes.axhline(net["test_rms_uEh"], color="C0", label="hampred, unseen orientations, trained on one")
    axes.plot([1], [net["train_rms_uEh"]], "s", color="C0", label="… the one seen")
    axes.axhline(results["baseline_rms_uEh"], color="0.5", linestyle="--", label="H0 alone")
    axes.set_xlabel("orientations of one label in the training data")
    axes.set_ylabel("RMS error of H (µE$_h$)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(0.02, 0.68))
    figure.savefig(path, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("one_example"), help="folder of the JSON file and the plot")
    parser.add_argument("--quick", action="store_true", help="a short look: fewer steps, rotations and orientations")
    arguments = parser.parse_args()
    size, start = QUICK if arguments.quick else Size(), time.monotonic()
    arguments.out.mkdir(parents=True, exist_ok=True)

    backend = PySCFMolecule(LevelConfig(functional="pbe", basis="def2-svp"))
    sample = backend.label(hydrogen_peroxide())
    baseline = make_baseline("sap", sample.level)
    correction = sample.hamiltonian.to_dense() - baseline.blocks(Integrals(sample.atoms, sample.level.basis)).to_dense()
    say(f"labelled H2O2 ({len(correction)} orbitals) in {time.monotonic() - start:.0f} s")

    model = train_hampred(sample, baseline, size)
    net = measure_hampred(model, sample, orientations(size.n_test, seed=1))
    say(f"hampred: trained and tested after {time.monotonic() - start:.0f} s")
    rows = [measure_perceptron(n, sample, correction, net["n_parameters"], size) for n in size.counts]

    results = {"size": asdict(size), "level": sample.level.to_dict(), "baseline": "sap"}
    results |= {"baseline_rms_uEh": rms(correction), "hampred": net, "perceptron": rows}
    results["wall_s"] = round(time.monotonic() - start, 1)
    show(results)
    (arguments.out / "one_example.json").write_text(json.dumps(results, indent=2))
    plot(results, arguments.out / "one_example.png")
    say(f"wrote {arguments.out}/one_example.json and .png in {results['wall_s']:.0f} s")


if __name__ == "__main__":
    main()
