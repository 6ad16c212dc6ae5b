"""The forms of ΔH: what blocks of each kind of components mean as an operator."""

import numpy as np
import pytest
import torch
from ase.build import molecule
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.inputs import input_values
from hampred.interop.integrals import Integrals
from hampred.nn.base import BlockCoefficients, HamiltonianNet
from hampred.nn.models import architectures, build_net

Array = NDArray[np.float64]


def network(name: str, form: str) -> HamiltonianNet:
    small = {"natural": 4, "unnatural": 2, "n_layers": 1, "hidden": 8, "inputs": ["overlap"], "forms": [form]}
    return build_net(name, OrbitalBasis.from_name("def2-svp", [1, 6, 8]), small)


def prepared(net: HamiltonianNet) -> tuple[HamiltonianGraph, BlockMatrix, Array]:
    """Graph, skeleton and overlap of a molecule."""
    atoms = molecule("CH3OH")
    graph, skeleton = build_graph(atoms, net.decomposer, net.cutoff, net.pair_cutoff)
    integrals = Integrals(atoms, "def2-svp")
    s = integrals.overlap
    return graph.with_inputs(input_values(net.inputs, skeleton, s, integrals)), skeleton, s.to_dense()


def coefficients_of(net: HamiltonianNet, graph: HamiltonianGraph, skeleton: BlockMatrix, m: Array) -> BlockCoefficients:
    """Coefficients of a symmetric matrix."""
    values = torch.from_numpy(m[skeleton.rows, skeleton.columns])
    parts, n = [], net.decomposer.n_slots
    cut = len(graph.onsite_values)
    for part, places, count in (
        (values[:cut], graph.onsite_values, len(graph.numbers)),
        (values[cut:], graph.offsite_values, len(graph.pairs)),
    ):
        blocks = torch.zeros(count * n * n, dtype=torch.float64).index_copy(0, places, part).reshape(-1, n, n)
        parts.append(net.decomposer.decompose(blocks, onsite=places is graph.onsite_values))
    return BlockCoefficients(*parts)


@pytest.mark.parametrize("name", sorted(architectures()))
@pytest.mark.parametrize("form", ["covariant", "mixed", "contravariant"])
def test_blocks_mean_the_operator_that_the_form_says(name, form):
    net = network(name, form)
    graph, skeleton, s = prepared(net)
    m = np.random.default_rng(0).normal(size=s.shape)
    m = m + m.T
    expected = {"covariant": m, "mixed": 0.5 * (m @ s + s @ m), "contravariant": s @ m @ s}[form]
    onsite, offsite = net.matrix_elements(graph, [coefficients_of(net, graph, skeleton, m)])
    found = torch.cat([onsite, offsite]).numpy()
    assert np.abs(found - expected[skeleton.rows, skeleton.columns]).max() < 1e-6 * np.abs(expected).max()


def test_a_shift_of_the_potential_is_one_number_of_the_mixed_form():
    net = network("bond_frame", "mixed")
    graph, skeleton, s = prepared(net)
    onsite, offsite = net.matrix_elements(graph, [coefficients_of(net, graph, skeleton, 0.3 * np.eye(len(s)))])
    assert np.abs(torch.cat([onsite, offsite]).numpy() - 0.3 * s[skeleton.rows, skeleton.columns]).max() < 1e-7
