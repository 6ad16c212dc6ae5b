"""The loss of a batch is the mean of the losses of its systems, however large each is."""

import pytest
import torch

from hampred.baseline import make_baseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.dataset import LabelledGraph, label_graph
from hampred.data.store import Store
from hampred.training.loss import HamiltonianLoss


@pytest.mark.parametrize("with_spins", [False, True])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (1.0, 0.3)])
def test_every_system_counts_the_same(label_store, weights, with_spins):
    with Store(label_store) as store:
        baseline, decomposer = make_baseline("sap", store.level), BlockDecomposer(store.basis)
        samples = [store[0], store[7], store[11]]  # H2O, H2, H2O2
        labels = [label_graph(s, baseline, decomposer, 6.0, 12.0, with_spins=with_spins) for s in samples]
    generator = torch.Generator().manual_seed(0)
    parts = [[torch.randn(x.shape, generator=generator) for x in (label.onsite, label.offsite)] for label in labels]
    loss, batch = HamiltonianLoss(*weights), LabelledGraph.batch(labels, decomposer.n_slots)
    together = loss(*(torch.cat(part) for part in zip(*parts)), batch)
    alone = torch.stack([loss(*part, label) for part, label in zip(parts, labels)])
    assert alone.std() > 0.1 * alone.mean()
    torch.testing.assert_close(together, alone.mean(), rtol=1e-5, atol=0.0)


def test_mean_of_the_elements(label_store):
    with Store(label_store) as store:
        label = label_graph(store[0], make_baseline("sap", store.level), BlockDecomposer(store.basis), 6.0, 12.0)
    loss = HamiltonianLoss(1.0, 0.0)(label.onsite + 1e-3, label.offsite - 2e-3, label)
    n_onsite, n_offsite = len(label.onsite), len(label.offsite)
    assert loss == pytest.approx((n_onsite + 2 * n_offsite) / (n_onsite + n_offsite), rel=1e-4)
