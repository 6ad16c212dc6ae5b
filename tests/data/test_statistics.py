"""Targets scaled by the statistics of the training labels have unit width."""

import torch

from hampred.baseline import make_baseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.dataset import label_graph
from hampred.data.statistics import block_statistics
from hampred.data.store import Store


def test_scaled_coefficients_have_unit_width(label_store):
    with Store(label_store) as store:
        baseline = make_baseline("sap", store.level)
        decomposer = BlockDecomposer(store.basis)
        labels = [label_graph(sample, baseline, decomposer, 6.0, 12.0) for sample in store]
    statistics = block_statistics(((x.graph, x.onsite, x.offsite) for x in labels), decomposer)
    oxygen = int(decomposer.element_index[8])
    n = decomposer.n_slots
    rows = []
    for label in labels:
        blocks = torch.zeros(len(label.graph.numbers) * n * n, dtype=torch.float64)
        blocks[label.graph.onsite_values] = label.onsite.double()
        coefficients = decomposer.decompose(blocks.reshape(-1, n, n), onsite=True)
        rows.append(coefficients[label.graph.numbers == 8])
    coefficients = torch.cat(rows)
    start = 0
    for k, dimension in enumerate(ir.dim for mul, ir in decomposer.irreps_onsite for _ in range(mul)):
        part = coefficients[:, start : start + dimension] - statistics.onsite_mean[oxygen, k]
        width = part.square().mean().sqrt()
        assert torch.isclose(width, statistics.onsite_width[oxygen, k]) or width < 1e-5
        start += dimension
