"""The contract of every architecture: laws 3 and 7, with random weights, in both precisions."""

from copy import deepcopy
from dataclasses import replace
from itertools import chain, product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from hampred.baseline.sap import Sap
from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.inputs import INPUTS, input_values
from hampred.harmonics import irreps_rotation, random_rotation
from hampred.interop.integrals import Integrals
from hampred.nn.base import FORMS, HamiltonianNet
from hampred.nn.models import architectures, build_net

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}
SMALL = {"natural": 8, "unnatural": 4, "n_layers": 2, "hidden": 16}
KINDS: list[dict[str, list[str]]] = [
    {"inputs": [], "forms": ["covariant"]},
    {"inputs": list(INPUTS), "forms": list(FORMS)},
]


@pytest.fixture(
    scope="module", params=product(sorted(architectures()), KINDS), ids=lambda p: f"{p[0]}-{len(p[1]['forms'])}"
)
def exact_net(request) -> HamiltonianNet:
    name, kind = request.param
    torch.manual_seed(1)
    made = build_net(name, OrbitalBasis.from_name("def2-svp", [1, 6, 8]), SMALL | kind).eval()
    with torch.no_grad():  # scale as of a Hamiltonian, so that tolerances are relative to something real
        for scaling in (made.onsite_scaling, made.offsite_scaling):
            scaling.width.fill_(1.0)
        for scaling in (*made.onsite_inputs, *made.offsite_inputs):
            scaling.width.fill_(1.0)
        made.onsite_scaling.mean[:, : len(made.onsite_scaling.mean[0]) // 9] = 0.3  # scalars come first
    return made


@pytest.fixture
def net(exact_net) -> HamiltonianNet:
    return deepcopy(exact_net)


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request, net):
    net.to(request.param)
    return request.param


def graph_of(net: HamiltonianNet, atoms: Atoms) -> tuple[HamiltonianGraph, BlockMatrix]:
    """The graph with the input matrices of the network, H0 from the analytic baseline."""
    graph, skeleton = build_graph(atoms, net.decomposer, net.cutoff, net.pair_cutoff)
    if net.inputs:
        integrals = Integrals(atoms, net.basis.name)
        graph = graph.with_inputs(input_values(net.inputs, skeleton, Sap().blocks(integrals), integrals))
    return graph, skeleton


def hamiltonian(net: HamiltonianNet, atoms: Atoms) -> np.ndarray:
    graph, skeleton = graph_of(net, atoms)
    with torch.no_grad():
        values = torch.cat(net.matrix_elements(graph, net(graph)))
    return replace(skeleton, values=values.double().numpy()).to_dense()


def rattled(name: str, seed: int) -> Atoms:
    atoms = molecule(name)
    atoms.positions += 0.1 * np.random.default_rng(seed).normal(size=atoms.positions.shape)
    return atoms


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
def test_rotated_input_gives_rotated_hamiltonian(net, dtype, improper, seed):
    atoms = rattled("CH3OH", seed)
    q = random_rotation(np.random.default_rng(seed), improper)
    turned = atoms.copy()
    turned.positions = atoms.positions @ q.T
    h = hamiltonian(net, atoms)
    d = net.basis.layout(atoms.numbers).rotation(q)
    assert np.abs(hamiltonian(net, turned) - d @ h @ d.T).max() <= TOLERANCE[dtype] * np.abs(h).max()


@pytest.mark.parametrize("bond", [[0, 0, 1.1], [0, 1.1, 0], [0, -1.1, 0], [1e-9, 1.1, 0], [1.1, 0, 0]])
def test_bonds_along_the_axes_are_not_special(net, bond):
    atoms = Atoms("CO", [[0, 0, 0], bond])
    q = random_rotation(np.random.default_rng(3), improper=True)
    d = net.basis.layout(atoms.numbers).rotation(q)
    turned = Atoms("CO", atoms.positions @ q.T)
    h = hamiltonian(net, atoms)
    assert np.abs(hamiltonian(net, turned) - d @ h @ d.T).max() <= 1e-12 * np.abs(h).max()


@pytest.mark.parametrize("portion", [1, 7, 29, 30, 1000])
@pytest.mark.parametrize("name", ["CH3OH", "O"])
def test_bonds_in_portions_give_what_they_give_at_once(net, monkeypatch, name, portion):
    """Only without a gradient do they come in portions."""
    monkeypatch.setattr("hampred.nn.models.bond_frame.PORTION", portion)
    net.cutoff = 2.5  # so that some portions hold edges and other pairs
    graph, _ = graph_of(net, rattled(name, 0))
    whole, last = net.with_invariants(graph)
    with torch.no_grad():
        found, invariants = net.with_invariants(graph)
    for one, other in zip([last, *chain(*whole)], [invariants, *chain(*found)], strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
def test_every_hidden_layer_is_equivariant(net, improper):
    q = random_rotation(np.random.default_rng(0), improper)
    determinant = round(np.linalg.det(q))
    atoms = rattled("CH3CHO", 0)
    turned = atoms.copy()
    turned.positions = atoms.positions @ q.T
    first, second = (graph_of(net, a)[0] for a in (atoms, turned))
    kinds = set()
    with torch.no_grad():
        for (irreps, x), (_, y) in zip(net.hidden_layers(first), net.hidden_layers(second), strict=True):
            blocks = [
                torch.tensor(irreps_rotation(ir.l, determinant * q) * (ir.p if determinant < 0 else 1))
                for mul, ir in irreps
                for _ in range(mul)
            ]
            d = torch.block_diag(*blocks)
            assert torch.allclose(y, x @ d.T, rtol=0, atol=1e-12 * max(1.0, float(x.abs().max())))
            for start, (_, ir) in zip(irreps.slices(), irreps):
                if x[:, start].abs().max() > 1e-6:
                    kinds.add(str(ir))
    assert {"0e", "1o", "1e", "2e"} <= kinds  # scalars, vectors, pseudovectors and tensors all occur


def test_translation_leaves_hamiltonian(net):
    atoms = rattled("H2CO", 1)
    moved = atoms.copy()
    moved.positions += [3.0, -7.0, 11.0]
    assert np.abs(hamiltonian(net, atoms) - hamiltonian(net, moved)).max() < 1e-12


def test_permuted_atoms_permute_the_blocks(net, dtype):
    atoms = rattled("CH3OH", 2)
    order = np.random.default_rng(0).permutation(len(atoms))
    layout = net.basis.layout(atoms.numbers)
    places = np.concatenate([np.arange(layout.n_orbitals)[layout.orbitals(k)] for k in order])
    h = hamiltonian(net, atoms)
    difference = hamiltonian(net, atoms[order]) - h[np.ix_(places, places)]
    assert np.abs(difference).max() <= TOLERANCE[dtype] * np.abs(h).max()


def test_batch_equals_singles(net, dtype):
    structures = [rattled("CH4", 0), rattled("H2O", 1), rattled("C2H6", 2), Atoms("O"), rattled("CH3OH", 3)]
    graphs = [graph_of(net, a)[0] for a in structures]
    with torch.no_grad():
        joined = HamiltonianGraph.batch(graphs, net.decomposer.n_slots)
        together = net.matrix_elements(joined, net(joined))
        alone = [net.matrix_elements(g, net(g)) for g in graphs]
    for part, singles in zip(together, zip(*alone)):
        expected = torch.cat(list(singles))
        assert torch.allclose(part, expected, rtol=0, atol=TOLERANCE[dtype] * float(expected.abs().max()))


def test_hamiltonian_is_hermitian(net):
    h = hamiltonian(net, rattled("CH3CHO", 4))
    assert np.abs(h - h.T).max() < 1e-14 * np.abs(h).max() * len(h)


@pytest.mark.parametrize("which", ["cutoff", "pair_cutoff"])
def test_smooth_at_the_cutoff(net, which):
    """Messages (seen in the onsite blocks) and blocks fade out: no jump, and none of the first derivative."""
    cutoff = getattr(net, which)

    def at(distance: float) -> np.ndarray:
        h = hamiltonian(net, Atoms("OC", [[0, 0, 0], [0, 0, distance]]))
        n = net.basis.n_orbitals(8)
        return h if which == "pair_cutoff" else h[:n, :n]

    assert np.abs(at(0.5 * cutoff) - at(cutoff)).max() > 1e-6
    before, here, after = (at(cutoff + step) for step in (-1e-3, 0.0, 1e-3))
    assert np.abs(before + after - 2 * here).max() < 1e-7
    if not net.inputs:  # which depend on the distance beyond any cutoff
        assert np.abs(after - before).max() < 1e-7


def test_gradients_reach_every_parameter(net):
    net.zero_grad()
    graphs = [graph_of(net, rattled(n, 5))[0] for n in ("CH3OH", "CH3CHO")]
    graph = HamiltonianGraph.batch(graphs, net.decomposer.n_slots)
    sum(part.square().sum() for coefficients in net(graph) for part in coefficients).backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent, silent


def test_output_reaches_every_irrep(net):
    """p ⊗ p holds the pseudovector 1e, d ⊗ d goes up to L = 4: no component may stay at zero."""
    atoms = rattled("CH3CHO", 6)
    graph, _ = graph_of(net, atoms)
    with torch.no_grad():
        coefficients = net(graph)
    for part in (part for form in coefficients for part in form):
        assert float(part.abs().amax(0).min()) > 1e-9


def degenerate(energies: np.ndarray, count: int) -> list[np.ndarray]:
    """Groups of `count` consecutive levels with a clear distance to their neighbours."""
    gaps = np.concatenate([[np.inf], np.diff(energies), [np.inf]])
    return [
        energies[i : i + count]
        for i in range(len(energies) - count + 1)
        if gaps[i] > 1e-6 and gaps[i + count] > 1e-6 and (gaps[i + 1 : i + count] < 1e-6).all()
    ]


def test_methane_keeps_its_threefold_levels(net):
    a = 1.09 / np.sqrt(3)
    q = random_rotation(np.random.default_rng(5))
    positions = np.array([[0, 0, 0], [a, a, a], [a, -a, -a], [-a, a, -a], [-a, -a, a]])
    levels = np.linalg.eigvalsh(hamiltonian(net, Atoms("CH4", positions @ q.T)))
    triplets = degenerate(levels, 3)  # t1 and t2 of the 34 orbitals of def2-svp
    assert len(triplets) >= 7
    assert max(np.ptp(group) for group in triplets) < 1e-10


def test_benzene_keeps_its_twofold_levels(net):
    angles = np.arange(6) * np.pi / 3
    ring = np.stack([np.cos(angles), np.sin(angles), np.zeros(6)], axis=1)
    q = random_rotation(np.random.default_rng(6))
    atoms = Atoms("C6H6", np.concatenate([1.395 * ring, 2.482 * ring]) @ q.T)
    levels = np.linalg.eigvalsh(hamiltonian(net, atoms))
    pairs = degenerate(levels, 2)  # e1g, e1u, e2g, e2u
    assert len(pairs) >= 30
    assert max(np.ptp(group) for group in pairs) < 1e-10


def test_settings_build_the_same_network(net):
    again = build_net(net.name, net.basis, net.settings())
    again.load_weights(net.weights())
    atoms = rattled("H2O", 7)
    assert np.array_equal(hamiltonian(net, atoms), hamiltonian(again, atoms))
