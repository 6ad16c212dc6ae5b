"""Labels of open shells: UKS from the source to the store, against PySCF."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write
from pyscf import dft

from data_gen.backends.pyscf_molecule import PySCFMolecule
from data_gen.geometries import geometries
from data_gen.guard import BadLabelError
from data_gen.pipeline import generate, make_backend, make_plan
from hampred.config import GenerateConfig, GuardConfig, LevelConfig, load_config
from hampred.data.store import Store
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import rotated
from hampred.interop.pyscf import build_mole

LEVEL = LevelConfig(functional="pbe", basis="sto-3g", grid_level=1)


def radical(**info) -> Atoms:
    atoms = Atoms("NH2", molecule("NH2").positions)
    atoms.rattle(0.05, seed=1)
    atoms.info = {"spin": 1, **info}
    return atoms


@pytest.mark.parametrize("more", [{}, {"functional": "b3lyp"}, {"density_fit": True}])
def test_labels_agree_with_pyscf(more: dict):
    atoms, settings = radical(), LEVEL.model_copy(update=more)
    sample = PySCFMolecule(settings, forces=True).label(atoms)
    field = dft.UKS(build_mole(atoms, "sto-3g", spin=1), xc=settings.functional)
    field = field.density_fit() if settings.density_fit else field
    field.verbose, field.conv_tol, field.grids.level = 0, 1e-12, 1
    field.kernel()
    assert sample.spin_splitting is not None and sample.spin == 1 and sample.n_of_spins == (5, 4)
    both = sample.hamiltonian.to_dense(), sample.spin_splitting.to_dense()
    found = np.stack([both[0] + both[1], both[0] - both[1]])
    np.testing.assert_allclose(found, field.get_fock(dm=field.make_rdm1()), atol=2e-5)
    np.testing.assert_allclose(sample.orbital_energies, field.mo_energy, atol=2e-5)
    assert sample.total_energy == pytest.approx(field.e_tot, abs=1e-8)
    np.testing.assert_allclose(sample.dipole, field.dip_moment(unit="AU", verbose=0), atol=1e-4)
    assert sample.provenance["s_squared"] == pytest.approx(field.spin_square()[0], abs=1e-5)
    assert 0 <= sample.provenance["spin_contamination"] < 0.02
    assert sample.forces is not None


@pytest.mark.parametrize("improper", [False, True])
def test_the_label_of_a_rotated_molecule_is_the_rotated_label(improper: bool):
    backend = PySCFMolecule(LEVEL.model_copy(update={"grid_level": 4}))
    q = random_rotation(np.random.default_rng(0), improper)
    label, again = backend.label(radical()), backend.label(rotated(radical(), q))
    for name, matrix in label.matrices.items():
        assert again.matrices[name].error(matrix.rotated(q))["max"] < 3e-5
    assert np.abs(label.matrices["spin_splitting"].values).max() > 0.01


def test_mixtures_of_spins_are_no_labels():
    """A broken bond with both spins on one side."""
    atoms = Atoms("OH2", [(0, 0, 0), (0, 0.76, 0.59), (0, -1.9, 1.5)])
    atoms.info["spin"] = 2
    guard = GuardConfig(max_spin_contamination=1e-7)
    with pytest.raises(BadLabelError, match="mixture of spins"):
        PySCFMolecule(LEVEL, guard=guard).label(atoms)


def test_electrons_that_do_not_fit_are_refused():
    backend = PySCFMolecule(LEVEL)
    with pytest.raises(HampredError, match="as spin"):
        backend.check(Atoms("NH2", molecule("NH2").positions), 0)
    with pytest.raises(HampredError, match="25 electrons, 27 of them unpaired"):
        PySCFMolecule(LevelConfig(functional="pbe", basis="def2-svp")).check(Atoms("I", info={"spin": 27}), 0)
    crystal = bulk("Si")
    crystal.info["spin"] = 2
    with pytest.raises(HampredError, match="periodic"):
        backend.check(crystal, 0)


def test_sources_tell_unpaired_electrons(tmp_path):
    write(tmp_path / "a.extxyz", [radical(), radical(spin=2)])  # the second as a multiplicity
    sources = [
        {"kind": "g2", "names": ["NH2", "H2O"]},
        {"kind": "g2", "names": ["H2O"], "charge": 1, "spin": 1},
        {"kind": "file", "path": str(tmp_path / "a.extxyz")},
    ]
    config = load_config(GenerateConfig, {"geometries": sources, "level": LEVEL.model_dump()})
    backend = make_backend(config)
    plan = make_plan(config, backend)
    assert not plan.refused
    from hampred.interop.structures import read_spin

    spins = [read_spin(atoms, atoms.info.get("charge", 0)) for atoms in geometries(config)]
    assert spins == [1, 0, 1, 1, 1] and len(plan.structures) == 4  # the two of the file are one


def test_open_and_closed_shells_share_a_store(tmp_path):
    rattle = {"kind": "rattle", "stdev": 0.03}
    sources = [{"kind": "g2", "names": ["NH2", "H2O"], "sampling": [rattle], "rotate": True}]
    config = load_config(GenerateConfig, {"geometries": sources, "level": LEVEL.model_dump(), "label_noise": False})
    summary = generate(config, tmp_path, workers=1)
    assert summary.n_labels == 2
    backend = PySCFMolecule(LEVEL)
    with Store(summary.store) as store:
        assert store.damaged() == [] and store.of_samples("spin").tolist() == [1, 0]
        radical_, water = store
        assert water.spin_splitting is None and "spin" not in water.atoms.info
        assert radical_.atoms.info["spin"] == 1 and radical_.orbital_energies.shape == (2, 7)
        again = backend.label(radical_.atoms)
    for name, matrix in again.matrices.items():
        np.testing.assert_allclose(radical_.matrices[name].to_dense(), matrix.to_dense(), atol=1e-12)
    np.testing.assert_allclose(radical_.orbital_energies, again.orbital_energies, atol=1e-12)
