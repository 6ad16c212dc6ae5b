"""What a network is told beside the geometry: charge, spin and electric field, for every architecture."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from operators import random_operator

from hampred.baseline import make_baseline
from hampred.baseline.projectors import Projectors
from hampred.baseline.sap import Sap
from hampred.basis import OrbitalBasis
from hampred.data.graph import HamiltonianGraph
from hampred.data.inputs import INPUTS, LOCAL
from hampred.data.sample import LevelOfTheory
from hampred.data.system import System, baseline_blocks
from hampred.errors import HampredError
from hampred.harmonics import random_rotation
from hampred.interop.electric_field import rotated, with_field
from hampred.interop.integrals import Integrals
from hampred.nn.base import FORMS, BlockScaling, HamiltonianNet
from hampred.nn.conditions import CONDITIONS
from hampred.nn.models import architectures, build_net

BASIS = "def2-svp"
SMALL = {"natural": 8, "unnatural": 4, "n_layers": 2, "hidden": 16}
KINDS: list[dict[str, list[str]]] = [
    {"inputs": [], "forms": ["covariant"]},
    {"inputs": list(INPUTS), "forms": list(FORMS)},
]
VECTOR = np.array([0.3, -0.4, 0.2])
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6}


def made(name: str, kind: dict[str, list[str]], conditions: tuple[str, ...] = CONDITIONS) -> HamiltonianNet:
    torch.manual_seed(1)
    net = build_net(name, OrbitalBasis.from_name(BASIS, [1, 6, 8]), SMALL | kind | {"conditions": conditions}).eval()
    with torch.no_grad():
        for scaling in net.modules():
            if isinstance(scaling, BlockScaling):
                scaling.width.fill_(1.0)
    return net


CASES = list(product(sorted(architectures()), KINDS, TOLERANCE))


@pytest.fixture(scope="module", params=CASES, ids=[f"{name}-{len(k['forms'])}-{str(d)[6:]}" for name, k, d in CASES])
def net(request) -> HamiltonianNet:
    name, kind, dtype = request.param
    return made(name, kind).to(dtype)


@pytest.fixture
def dtype(net) -> torch.dtype:
    return net.dtype


def bent(name: str = "H2CO", seed: int = 0, vector=VECTOR) -> Atoms:
    atoms = molecule(name)
    atoms.positions += 0.1 * np.random.default_rng(seed).normal(size=atoms.positions.shape)
    return with_field(atoms, vector)


def system(net: HamiltonianNet, atoms: Atoms, charge: int = 0, spin: int = 0) -> System:
    integrals = Integrals(atoms, BASIS, charge, spin)
    return System.of(integrals, Sap(), net.decomposer, net.cutoff, net.pair_cutoff, net.inputs)


def correction(net: HamiltonianNet, atoms: Atoms, charge: int = 0, spin: int = 0) -> np.ndarray:
    """ΔH, of a network with spins ΔH_α and ΔH_β [(2,) n, n]."""
    found = system(net, atoms, charge, spin)
    with torch.no_grad():
        values = torch.cat(net.matrix_elements(found.graph, net(found.graph))).double().numpy()
    columns = [values] if values.ndim == 1 else values.T
    matrices = np.stack([replace(found.skeleton, values=column.copy()).to_dense() for column in columns])
    return matrices if net.has_spins else matrices[0]


@pytest.mark.parametrize(("charge", "spin"), [(0, 0), (-2, 0), (1, 1)])
@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
def test_molecule_and_field_turned_together(net, dtype, improper: bool, charge: int, spin: int):
    """ΔH(Qx, QE) = D ΔH(x, E) Dᵀ, of α and of β."""
    atoms, q = bent(), random_rotation(np.random.default_rng(4), improper)
    h, d = correction(net, atoms, charge, spin), net.basis.layout(atoms.numbers).rotation(q)
    error = np.abs(correction(net, rotated(atoms, q), charge, spin) - d @ h @ d.T).max()
    assert error <= TOLERANCE[dtype] * np.abs(h).max()


def test_fields_and_charges_are_felt(net):
    atoms, q = bent(), random_rotation(np.random.default_rng(4))
    h = correction(net, atoms)
    for other in (with_field(atoms, q @ VECTOR), with_field(atoms, -VECTOR), with_field(atoms, np.zeros(3))):
        assert np.abs(correction(net, other) - h).max() > 1e-6 * np.abs(h).max()
    assert np.abs(correction(net, atoms, 2) - h).max() > 1e-4 * np.abs(h).max()


def test_spins_are_split_where_electrons_are_unpaired(net, dtype):
    """And nowhere else, to the last bit."""
    alpha, beta = correction(net, bent())
    assert np.array_equal(alpha, beta)
    alpha, beta = correction(net, bent(), 1, 1)
    assert np.abs(alpha - beta).max() > 1e-4 * np.abs(alpha).max()
    assert np.abs(alpha - alpha.T).max() <= TOLERANCE[dtype] * np.abs(alpha).max()


def test_translation_leaves_the_correction(net, dtype):
    moved, h = bent(), correction(net, bent())
    moved.positions += [3.0, -7.0, 11.0]
    assert np.abs(h - correction(net, moved)).max() < TOLERANCE[dtype] * np.abs(h).max()


def test_smooth_in_the_field(net, dtype):
    """No jump, and none of the first derivative, where the field vanishes."""
    if dtype == torch.float32:
        pytest.skip("differences are of the size of rounding")
    before, here, after = (correction(net, bent(vector=x * VECTOR)) for x in (-1e-4, 0.0, 1e-4))
    assert np.abs(after - before).max() > 1e-9
    assert np.abs(before + after - 2 * here).max() < 1e-2 * np.abs(after - before).max()


def test_batch_equals_singles(net, dtype):
    found = [system(net, *arguments) for arguments in ((bent("CH4"),), (bent("H2O", 1, 2 * VECTOR), 2))]
    found += [system(net, bent("H2O", 1, np.zeros(3)), -2), system(net, bent("H2O", 1), 1, 1)]
    graphs = [one.graph for one in found]
    with torch.no_grad():
        joined = HamiltonianGraph.batch(graphs, net.decomposer.n_slots)
        together = net.matrix_elements(joined, net(joined))
        alone = [net.matrix_elements(graph, net(graph)) for graph in graphs]
    for part, singles in zip(together, zip(*alone)):
        expected = torch.cat(list(singles))
        assert torch.allclose(part, expected, rtol=0, atol=TOLERANCE[dtype] * float(expected.abs().max()))


def test_gradients_reach_every_parameter(net):
    net.zero_grad()
    graphs = [system(net, bent(), 1, 1).graph, system(net, bent("H2O2"), 0, 2).graph]
    graph = HamiltonianGraph.batch(graphs, net.decomposer.n_slots)
    sum(part.square().sum() for coefficients in net(graph) for part in coefficients).backward()
    silent = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent, silent


@pytest.mark.parametrize("kind", KINDS, ids=["bare", "given"])
def test_zero_conditions_change_nothing(kind):
    """A network that is told of charge and field is, without them, the one that is not."""
    told, plain = made("bond_frame", kind, ("charge", "electric_field")), made("bond_frame", kind, ())
    plain.load_weights(told.weights())
    atoms = bent(vector=np.zeros(3))
    assert np.array_equal(correction(told, atoms), correction(plain, atoms))
    assert np.abs(correction(told, bent()) - correction(told, atoms)).max() > 1e-6


@pytest.mark.parametrize("name", sorted(architectures()))
def test_settings_build_the_same_network(name: str):
    net = made(name, KINDS[0])
    again = build_net(name, net.basis, net.settings())
    again.load_weights(net.weights())
    assert again.conditions == CONDITIONS
    assert np.array_equal(correction(net, bent(), 2), correction(again, bent(), 2))


@pytest.mark.parametrize("name", sorted(architectures()))
def test_bases_of_s_orbitals_feel_the_field(name: str):
    settings = SMALL | {"inputs": [], "forms": ["covariant"], "conditions": ["electric_field"]}
    net = build_net(name, OrbitalBasis.from_name("sto-3g", [1]), settings)
    assert net.lmax == 1
    graphs = [
        System.of(Integrals(with_field(molecule("H2"), v), "sto-3g"), Sap(), net.decomposer, 6.0, 12.0).graph
        for v in (VECTOR, np.zeros(3))
    ]
    with torch.no_grad():
        first, second = (torch.cat(net.matrix_elements(graph, net(graph))) for graph in graphs)
    assert float((first - second).abs().max()) > 1e-9


def test_unknown_conditions_and_crystals_are_refused():
    with pytest.raises(HampredError, match="charge, spin, electric_field"):
        made("bond_frame", KINDS[0], ("weather",))
    with pytest.raises(HampredError, match="no charge, spin or electric field"):
        made("bond_frame", KINDS[0]).require_periodic()


@pytest.mark.parametrize("name", INPUTS)
def test_crystals_take_local_inputs_alone(name: str):
    settings = SMALL | {"inputs": [*{"overlap": 0, name: 0}], "forms": ["covariant"]}
    net = build_net("bond_frame", OrbitalBasis.from_name("sto-3g", [1]), settings)
    if name in LOCAL:
        net.require_periodic()
        return
    with pytest.raises(HampredError, match="block by block"):
        net.require_periodic()


@pytest.mark.parametrize("name", ["none", "core", "sap", "projectors"])
@pytest.mark.parametrize("improper", [False, True], ids=["proper", "improper"])
def test_every_baseline_holds_the_potential_of_the_field(name: str, improper: bool):
    """H0(Qx, QE) = D H0(x, E) Dᵀ, and H0(x, E) − H0(x, 0) = E·(r − R)."""
    atoms, q = bent("H2O"), random_rotation(np.random.default_rng(5), improper)
    baseline = make_baseline(name, LevelOfTheory("pbe", "", BASIS))
    if name == "projectors":
        baseline = Projectors({z: random_operator(z, BASIS) for z in (1, 8)})
    integrals = Integrals(atoms, BASIS)
    h0 = baseline_blocks(baseline, integrals)
    turned = baseline_blocks(baseline, Integrals(rotated(atoms, q), BASIS)).to_dense()
    np.testing.assert_allclose(turned, h0.rotated(q).to_dense(), atol=1e-11)
    without = baseline_blocks(baseline, Integrals(with_field(atoms, np.zeros(3)), BASIS)).to_dense()
    np.testing.assert_allclose(h0.to_dense() - without, integrals.field_potential.to_dense(), atol=1e-12)


def test_the_fit_of_projectors_does_not_see_the_field():
    from hampred.blocks.matrix import BlockMatrix
    from hampred.data.sample import HamiltonianSample

    level = LevelOfTheory("pbe", "", BASIS)
    fits = []
    for vector in (np.zeros(3), VECTOR):
        samples = []
        for seed in range(3):
            integrals = Integrals(bent("H2O", seed, vector), BASIS)
            h = Sap().blocks(integrals).to_dense() + integrals.field_potential.to_dense() * vector.any()
            matrix = BlockMatrix.from_dense(integrals.layout, h)
            energies = np.zeros(len(h))
            samples.append(
                HamiltonianSample(integrals.atoms, integrals.layout.basis, {"hamiltonian": matrix}, energies, level)
            )
        baseline = Projectors()
        baseline.fit(samples)
        fits.append(baseline.blocks(Integrals(bent("H2O", 9, np.zeros(3)), BASIS)).to_dense())
    np.testing.assert_allclose(*fits, atol=1e-9)
