"""The linear-scaling path gives the numbers of the dense one."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from operators import random_operator
from scipy.sparse import csr_array

from hampred.baseline import make_baseline
from hampred.baseline.projectors import Projectors
from hampred.basis import OrbitalBasis
from hampred.data.sample import LevelOfTheory
from hampred.data.system import half_baseline
from hampred.electronic import sparse_eigen
from hampred.electronic.eigen import solve
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.inference import Predictor
from hampred.interop.integrals import Integrals
from hampred.interop.pyscf import build_mole, overlap
from hampred.large import predict_large, require_affordable
from hampred.model_file import Model, save_model
from hampred.nn import portions
from hampred.nn.models import build_net
from hampred.nn.portions import LargeGraph

LEVEL = LevelOfTheory("pbe", "GGA_X_PBE, GGA_C_PBE", "def2-svp")
NET = {"natural": 8, "unnatural": 4, "n_layers": 2, "hidden": 16, "n_radial": 8, "cutoff": 3.0, "pair_cutoff": 4.5}


def waters(n: int, seed: int = 0) -> Atoms:
    """Molecules in random orientations along a line that bends."""
    generator, water = np.random.default_rng(seed), molecule("H2O").positions
    places = [np.array([3.1 * k, 1.5 * np.sin(k), 1.5 * np.cos(2 * k)]) for k in range(n)]
    return Atoms([8, 1, 1] * n, np.concatenate([water @ random_rotation(generator).T + x for x in places]))


def predictor(baseline: str = "projectors", **settings: object) -> Predictor:
    """A model with random weights of the size of real ones."""
    torch.manual_seed(0)
    basis = OrbitalBasis.from_name(LEVEL.basis, [1, 6, 8])
    net = build_net("bond_frame", basis, {**NET, "inputs": ["overlap", "baseline"], "forms": ["covariant"], **settings})
    h0 = make_baseline(baseline, LEVEL)
    if isinstance(h0, Projectors):
        h0 = Projectors({z: random_operator(z, strength=0.1) for z in (1, 6, 8)})
    return Predictor(Model(net, h0, LEVEL))


def pattern(matrix) -> np.ndarray:
    found = np.zeros(matrix.shape, dtype=bool)
    found[matrix.tocoo().coords] = True
    return found


def test_what_is_left_out_of_the_overlap_is_negligible():
    integrals = Integrals(waters(12), LEVEL.basis)
    s, exact = integrals.overlap.to_dense(), overlap(build_mole(waters(12), LEVEL.basis))
    kept = pattern(integrals.overlap.to_sparse())
    assert (~kept).any() and np.abs(exact[~kept]).max() < 1e-10
    assert np.abs(s - exact)[kept].max() < 1e-14 and np.array_equal(s, s.T)


def test_halves_make_the_same_sparse_matrices():
    integrals = Integrals(waters(12), LEVEL.basis)
    halves, wholes = (integrals.half_overlap, integrals.half_kinetic), (integrals.overlap, integrals.kinetic)
    for half, whole, found in zip(halves, wholes, integrals.to_sparse(*halves)):
        assert found.has_canonical_format and (found != whole.to_sparse()).nnz == 0
        assert (found != found.T).nnz == 0 and len(half.values) < 0.6 * len(whole.values)


@pytest.mark.parametrize(
    ("forms", "kept"),
    [(["covariant"], 2**31), (["covariant"], 150_000), (["covariant", "mixed", "contravariant"], 0)],
)
def test_prediction_is_that_of_the_dense_path(monkeypatch, forms: list[str], kept: int):
    """Whether all, some or none of the geometry is kept between the layers."""
    monkeypatch.setattr(portions, "KEPT", kept)
    monkeypatch.setattr(portions, "PORTION", 20)
    monkeypatch.setattr(portions, "ROWS", 50)
    monkeypatch.setattr(sparse_eigen, "SMALLEST_BLOCK", 16)
    model, atoms = predictor(forms=forms), waters(8)
    state, dense = predict_large(model, atoms), model.predict(atoms)
    kept = pattern(state.hamiltonian)
    assert np.abs(state.hamiltonian.toarray() - dense.hamiltonian)[kept].max() < 1e-9
    frontier = state.frontier(3)
    energies, _ = solve(state.hamiltonian.toarray(), state.overlap.toarray())
    assert np.abs(frontier.energies - energies[frontier.first : frontier.first + 6]).max() < 1e-9
    assert abs(frontier.homo - dense.homo) < 1e-7 and abs(frontier.gap - dense.gap) < 1e-7
    assert np.abs(dense.hamiltonian - dense.baseline_hamiltonian).max() > 1e-3  # the network has a say


@pytest.mark.parametrize(("room", "n_kept"), [(2**31, 4), (150_000, 3), (0, 0)])
def test_geometry_is_kept_while_there_is_room(monkeypatch, room: int, n_kept: int):
    monkeypatch.setattr(portions, "KEPT", room)
    monkeypatch.setattr(portions, "PORTION", 20)
    model, integrals = predictor(), Integrals(waters(8), LEVEL.basis)
    graph = LargeGraph(
        integrals, model.model.net, [integrals.half_overlap, half_baseline(model.model.baseline, integrals)]
    )
    messages = portions.Messages(model.model.net, graph)
    found, looked = [], graph.portion
    monkeypatch.setattr(LargeGraph, "portion", lambda self, which: found.append(which) or looked(which))
    passes = [list(messages) for _ in range(3)]
    assert len(found) == 3 * len(passes[0]) - 2 * n_kept
    for first, *others in zip(*passes):
        for other in others:
            assert torch.equal(first.pairs, other.pairs) and torch.equal(first.frames.matrices, other.frames.matrices)
            assert torch.equal(first.inputs.natural, other.inputs.natural)


def test_portions_hold_every_pair_once_and_few_atoms(monkeypatch, rng: np.random.Generator):
    """Whatever the order of the atoms."""
    monkeypatch.setattr(portions, "PORTION", 100)
    model, atoms = predictor(cutoff=4.5, pair_cutoff=5.0), waters(40)
    integrals = Integrals(atoms[rng.permutation(len(atoms))], LEVEL.basis)
    graph = LargeGraph(integrals, model.model.net, [integrals.half_overlap, integrals.half_overlap])
    held = [graph.portion(which) for which in (*graph.near(), *graph.far())]
    pairs = np.concatenate([portion.atoms[portion.graph.pairs.numpy()] for portion in held])
    assert len(held) > 1 and np.array_equal(pairs[np.lexsort(pairs.T[::-1])], graph.pairs)
    assert max(len(portion.atoms) for portion in held[: len(graph.near())]) < 30


def test_equivariant(rng: np.random.Generator):
    model, atoms = predictor(), waters(6)
    q = random_rotation(rng, improper=True)
    turned = Atoms(atoms.numbers, atoms.positions @ q.T + rng.normal(size=3))
    before, after = predict_large(model, atoms), predict_large(model, turned)
    d = before.layout.rotation(q)
    for one, other in ((before.overlap, after.overlap), (before.hamiltonian, after.hamiltonian)):
        assert np.abs(d @ one.toarray() @ d.T - other.toarray()).max() < 1e-9


@pytest.mark.parametrize("name", ["core", "minao"])
def test_baselines_without_a_range_are_refused(name: str):
    with pytest.raises(HampredError, match="projectors or none"):
        predict_large(predictor(name), waters(2))


def test_too_large_for_dense_matrices_is_refused_unless_the_model_is_local(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hampred.large.LARGEST_DENSE", 40)
    monkeypatch.setattr("hampred.large.LARGE", 40)
    require_affordable(predictor(), waters(2), "two waters")
    require_affordable(predictor("minao"), waters(1), "water")
    with pytest.raises(HampredError, match="two waters has 48 orbitals"):
        require_affordable(predictor("minao"), waters(2), "two waters")


def test_charges_that_no_label_had_are_told():
    assert predict_large(predictor(), waters(1)).notes == []
    assert "charge: 2" in predict_large(predictor(), waters(1), 2).notes[0]


def test_a_density_is_refused():
    with pytest.raises(HampredError, match="density"):
        predict_large(predictor(inputs=["overlap", "baseline", "density"]), waters(2))


def test_command_line_takes_the_sparse_path_by_itself(monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from hampred import large
    from hampred.cli import app

    monkeypatch.setattr(large, "LARGE", 100)
    monkeypatch.setattr("hampred.evaluation.prediction_files.FRONTIER", 2)
    model, atoms = predictor(), waters(6)
    save_model(tmp_path / "model.safetensors", model.model)
    for name, of in (("large", atoms), ("small", atoms[:3])):
        of.write(tmp_path / f"{name}.xyz")
    words = ["predict", *(str(tmp_path / f"{name}.xyz") for name in ("large", "small")), "--json"]
    words += ["--model", str(tmp_path / "model.safetensors"), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    dense = model.predict(atoms)
    with np.load(tmp_path / "large.npz") as found:
        h = csr_array(tuple(found[f"hamiltonian_{part}"] for part in ("data", "indices", "indptr")))
        n = int(found["n_occupied"])
        assert np.abs(h.toarray() - dense.hamiltonian).max() < 1e-6
        assert np.abs(found["orbital_energies_Eh"] - dense.orbital_energies[n - 2 : n + 2]).max() < 1e-6
    with np.load(tmp_path / "small.npz") as found:
        assert found["hamiltonian"].shape == (24, 24)


def test_scaling_benchmark(monkeypatch, tmp_path, capsys):
    folder = Path(__file__).parents[2] / "benchmarks"
    save_model(tmp_path / "model.safetensors", predictor().model)
    words = ["--model", tmp_path / "model.safetensors", "--max-atoms", 10, "--k", 2, "--out", tmp_path]
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "argv", ["scaling.py", *map(str, words)])
    runpy.run_path(str(folder / "scaling.py"), run_name="__main__")
    record = json.loads((tmp_path / "scaling.json").read_text())
    assert set(record["results"]) == {"droplet", "column", "chain"} and "eigen / s" in capsys.readouterr().out
    for (row,) in record["results"].values():
        assert row["overlap_negative_eigenvalues"] == 0 and row["largest_residual_Eh"] < 1e-8
        assert len(row["levels_Eh"]) == 4 and row["stages"]["baseline"]["peak_GiB"] > 0
