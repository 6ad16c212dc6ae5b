"""Does a model learn how a molecule answers an electric field?

Labels water in random uniform fields up to 0.5 V/Å (preset `generate/water_fields`: PBE/def2-SVP, a geometry, direction
and strength of its own for each label), trains on some of it, and looks at geometries that the training never saw:
errors of H, of the dipole in the field, of the induced dipole μ(E) − μ(0), and of the polarisability dμ/dE by central
differences, against PySCF's SCF in the same fields. H0 holds the potential of the field in every variant; the variants
differ in how the network is told of the field: by a vector at each atom, by H0 and the density of H0 among its input
matrices, by both, or not at all.

    python benchmarks/field.py [--labels FOLDER] [--only VARIANT …] [--max-time MINUTES] [--out field]
"""

import os
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from ase import Atoms
from record import arguments_of, print_table, run, say, write_record
from runs import add_training_arguments, read_training, train_timed

import hampred
from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.pipeline import generate
from hampred.cli.generate import show_progress
from hampred.cli.progress import ProgressLine
from hampred.config import GenerateConfig, LevelConfig, load_config
from hampred.data.store import Store
from hampred.electronic.state import ElectronicState
from hampred.evaluation.evaluate import choose
from hampred.evaluation.states import baseline_state, compare_states, label_state
from hampred.inference import Predictor
from hampred.interop.electric_field import electric_field, with_field
from hampred.units import BOHR, DEBYE, FIELD

STEP = 0.05
"""V/Å, of the central differences of dipoles."""

VARIANTS = {
    "vector and matrices": ["net.conditions=[electric_field]"],
    "matrices": ["net.conditions=[]"],
    "vector": ["net.conditions=[electric_field]", "net.inputs=[overlap]"],
    "not told": ["net.conditions=[]", "net.inputs=[overlap]"],
}
"""How the network is told of the field → overrides of the training."""

HEAD = {
    "H_mae_uEh": "H / µE_h",
    "occupied_mae_meV": "occupied ε / meV",
    "dipole_mD": "dipole in the field / mD",
    "induced_mD": "induced dipole / mD",
    "induced_percent": "induced dipole / %",
    "polarizability_a03": "polarisability, components / a0³",
    "isotropic_percent": "isotropic polarisability / %",
}


def main():
    parser = arguments_of(__doc__, "field")
    parser.add_argument("--labels", type=Path, help="folder of the labels, made unless they are there (OUT/labels)")
    parser.add_argument("--count", type=int, default=140, help="geometries to label (140)")
    parser.add_argument("--strength", type=float, default=0.5, help="of the strongest field, V/Å (0.5)")
    parser.add_argument("--workers", type=int, help="processes that label; as many as processors without it")
    parser.add_argument("--split", type=int, nargs=3, default=[100, 20, 20], metavar="N", help="train, validate, test")
    parser.add_argument("--polarizabilities", type=int, default=5, metavar="N", help="test geometries of these (5)")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="some variants")
    add_training_arguments(parser, "train/water")
    arguments = parser.parse_args()
    labels = (arguments.labels or arguments.out / "labels") / "labels.h5"
    parts = zip(("train", "validation", "test"), arguments.split)
    shared = [*(f"split.{name}={count}" for name, count in parts), "epochs=200", "validate_every_epochs=10"]
    configs = {name: read_training(arguments, [labels], [*shared, *VARIANTS[name]]) for name in arguments.only}
    if not labels.is_file():
        sampling = "geometries.0.sampling"
        overrides = [f"{sampling}.0.count={arguments.count}", f"{sampling}.1.strength={arguments.strength}"]
        with ProgressLine() as line:
            config = load_config(GenerateConfig, "generate/water_fields", overrides)
            generate(config, labels.parent, arguments.workers, progress=partial(show_progress, line))
    rows, reference = {}, None
    for name, config in configs.items():
        folder = arguments.out / name.replace(" ", "_")
        times = train_timed(config, folder, name)
        predictor = hampred.load(folder)
        if reference is None:
            reference = Reference(predictor, labels, arguments.polarizabilities)
            rows["H0 alone"] = reference.errors(predictor, baseline=True)
        rows[name] = {**reference.errors(predictor), "training": times, "overrides": VARIANTS[name]}
    assert reference is not None
    figures = {"n_train": arguments.split[0], **reference.about(), "errors": rows}
    show(figures)
    write_record(arguments.out / "field.json", figures)


class Reference:
    """What PySCF finds for the test geometries: dipoles with and without the field, polarisabilities."""

    def __init__(self, predictor: Predictor, store: Path, n_polarizabilities: int):
        with Store(store) as opened:
            self.labels = [opened[index] for index in choose(opened, predictor.header["split"], "test")]
            self.level, self.noise = opened.level, opened.header.get("label_noise_Eh")
        known = {key: getattr(self.level, key) for key in LevelConfig.model_fields if key != "crystal"}
        self.backend = PySCFMolecule(LevelConfig(**known))
        say(f"PySCF: {len(self.labels)} test geometries without field, {n_polarizabilities} polarisabilities")
        self.free = [self.dipole(with_field(label.atoms, np.zeros(3))) for label in self.labels]
        self.polarizabilities = [polarizability(self.dipole, label.atoms) for label in self.labels[:n_polarizabilities]]

    def dipole(self, atoms: Atoms) -> np.ndarray:
        """Of an SCF, e·a0."""
        return self.backend.label(atoms).dipole

    def errors(self, predictor: Predictor, baseline: bool = False) -> dict[str, float]:
        """Mean errors of a model, or of its H0."""

        def state(atoms: Atoms) -> ElectronicState:
            found = predictor.predict(atoms)
            return baseline_state(found, found) if baseline else found

        found: dict[str, list[float]] = {name: [] for name in HEAD}
        for label, free in zip(self.labels, self.free):
            predicted = state(label.atoms)
            metrics = compare_states(predicted, label_state(label))
            found["H_mae_uEh"].append(metrics["H_mae_uEh"])
            found["occupied_mae_meV"].append(metrics["occupied_mae_meV"])
            induced = predicted.dipole - state(with_field(label.atoms, np.zeros(3))).dipole
            error = np.linalg.norm(induced - (label.dipole - free))
            found["dipole_mD"].append(1e3 * DEBYE * float(np.linalg.norm(predicted.dipole - label.dipole)))
            found["induced_mD"].append(1e3 * DEBYE * float(error))
            found["induced_percent"].append(100 * float(error / np.linalg.norm(label.dipole - free)))
        for label, alpha in zip(self.labels, self.polarizabilities):
            own = polarizability(lambda atoms: state(atoms).dipole, label.atoms)
            found["polarizability_a03"].append(float(np.abs(own - alpha).mean()))
            found["isotropic_percent"].append(100 * abs(float(np.trace(own) / np.trace(alpha)) - 1))
        return {name: float(np.mean(values)) for name, values in found.items()}

    def about(self) -> dict:
        """The labels, and the size of what is to be found."""
        induced = [np.linalg.norm(label.dipole - free) for label, free in zip(self.labels, self.free)]
        fields = [float(np.linalg.norm(label.electric_field)) for label in self.labels]
        return {
            "level": self.level.to_dict(),
            "label_noise_Eh": self.noise,
            "n_test": len(self.labels),
            "mean_field_V_A": float(np.mean(fields)),
            "mean_induced_dipole_mD": 1e3 * DEBYE * float(np.mean(induced)),
            "mean_isotropic_polarizability_a03": float(np.mean([np.trace(a) / 3 for a in self.polarizabilities])),
        }


def polarizability(dipole, atoms: Atoms) -> np.ndarray:
    """dμ/dE about the field of a structure [3, 3], a0³, by central differences; dipoles in e·a0."""
    field, columns = electric_field(atoms), []
    for axis in np.eye(3):
        plus, minus = (dipole(with_field(atoms, field + sign * STEP * axis)) for sign in (1, -1))
        columns.append((plus - minus) / (2 * STEP / FIELD))
    return np.array(columns).T


def show(figures: dict):
    """The table of all variants."""
    level = figures["level"]
    title = (
        f"water in electric fields, {level['functional'].upper()}/{level['basis']}, {figures['n_train']} training "
        f"labels, {figures['n_test']} test labels\nmean field {figures['mean_field_V_A']:.2f} V/Å, mean induced dipole "
        f"{figures['mean_induced_dipole_mD']:.0f} mD, isotropic polarisability "
        f"{figures['mean_isotropic_polarizability_a03']:.2f} a0³ ({BOHR**3:.3f} Å³ each)"
    )
    rows = [[name, *(errors[key] for key in HEAD)] for name, errors in figures["errors"].items()]
    print_table(title, ["mean error of", *HEAD.values()], rows)


if __name__ == "__main__":
    run(main)
