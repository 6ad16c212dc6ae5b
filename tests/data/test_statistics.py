"""Targets scaled by the statistics of the training labels have unit width."""

import torch

from hampred.baseline import make_baseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.dataset import label_graph
from hampred.data.statistics import all_statistics, block_statistics
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


def test_width_of_pairs_is_the_root_mean_square(label_store):
    """The widths of all irreps of a pair of elements add up to the norm of its blocks: decomposition is orthogonal."""
    with Store(label_store) as store:
        baseline, decomposer = make_baseline("sap", store.level), BlockDecomposer(store.basis)
        labels = [label_graph(sample, baseline, decomposer, 6.0, 12.0) for sample in store]
    statistics = block_statistics(((x.graph, x.onsite, x.offsite) for x in labels), decomposer)
    dimension = torch.tensor([ir.dim for mul, ir in decomposer.irreps_offsite for _ in range(mul)])
    power = (statistics.offsite_width**2 * dimension).sum(-1)
    hydrogen, oxygen = (int(decomposer.element_index[z]) for z in (1, 8))
    for a, b, z_a, z_b in ((hydrogen, oxygen, 1, 8), (oxygen, oxygen, 8, 8)):
        total, count = 0.0, 0
        for label in labels:
            numbers = label.graph.numbers[label.graph.pairs]
            mine = (numbers == torch.tensor([z_a, z_b])).all(1)
            pair_of_value = label.graph.offsite_values // decomposer.n_slots**2
            total += float(label.offsite[mine[pair_of_value]].double().square().sum())
            count += int(mine.sum())
        assert count and torch.isclose(power[a, b], torch.tensor(total / count, dtype=torch.float64), rtol=1e-4)


def test_inputs_share_their_widths(label_store):
    """Each is the root mean square of an irrep over the pairs of all elements that have it."""
    with Store(label_store) as store:
        baseline, decomposer = make_baseline("sap", store.level), BlockDecomposer(store.basis)
        labels = [label_graph(sample, baseline, decomposer, 6.0, 12.0, ("overlap", "baseline")) for sample in store]
    hydrogen, oxygen = (int(decomposer.element_index[z]) for z in (1, 8))
    _, inputs, _ = all_statistics(labels, decomposer)
    assert len(inputs) == 2
    for k, statistics in enumerate(inputs):
        shared = statistics.offsite_width[hydrogen, oxygen]
        assert (statistics.offsite_width == shared).all()
        graphs = [(x.graph, x.graph.onsite_inputs[:, k], x.graph.offsite_inputs[:, k]) for x in labels]
        alone = block_statistics(graphs, decomposer, floor=0.0)
        elements = torch.cat([decomposer.element_index[x.graph.numbers][x.graph.pairs] for x in labels])
        number = torch.zeros(2, 2, dtype=torch.float64)
        number.index_put_(tuple(elements.T), torch.ones(len(elements), dtype=torch.float64), accumulate=True)
        number = torch.where(alone.offsite_width > 0, number[..., None], 0)
        expected = ((number * alone.offsite_width**2).sum((0, 1)) / number.sum((0, 1)).clamp(min=1)).sqrt()
        torch.testing.assert_close(shared, expected.clamp(min=1e-3))
