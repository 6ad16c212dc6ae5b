"""The loss: errors of matrix elements, and the same errors as the orbitals feel them."""

from torch import Tensor, nn

from hampred.data.dataset import LabelledGraph


class HamiltonianLoss(nn.Module):
    """Weighted sum of the mean |δH| and of the orbital metric, in mE_h; of crystals up to μS, and at some k-points.

    Both are means of each system, averaged over the batch: a small molecule counts as much as a large one, whose matrix
    has hundreds of times as many elements.

    An error that is not shaped like the overlap is blown up by S⁻¹ when H C = S C ε is solved, and a small mean |δH|
    alone can leave ghost states. The orbital metric is the mean row norm of Cᵀ δH C in the orbitals of the label,
    where δε_i = (Cᵀ δH C)_ii to first order; virtual orbitals far above the LUMO count less.
    """

    def __init__(self, elements: float, orbitals: float) -> None:
        """Takes the weights of the two terms."""
        super().__init__()
        self.elements, self.orbitals = elements, orbitals

    def forward(self, onsite: Tensor, offsite: Tensor, label: LabelledGraph) -> Tensor:
        """Loss of predicted elements of ΔH.

        Args:
            onsite: [n_onsite_values], Hartree; of α and β [n_onsite_values, 2].
            offsite: Likewise.
            label: The labels of the same batch.

        Returns:
            Scalar, mE_h.
        """
        errors = tuple(1e3 * error for error in label.errors(onsite, offsite))
        loss = self.elements * element_error(*errors, label)
        if self.orbitals:
            loss = loss + self.orbitals * orbital_error(*errors, label)
        return loss


def element_error(onsite: Tensor, offsite: Tensor, label: LabelledGraph) -> Tensor:
    """Mean |δH| of each system, averaged over the systems.

    Args:
        onsite: Errors δH [n_onsite_values], any unit; of α and β [n_onsite_values, 2].
        offsite: Likewise.
        label: Tells which values are of one system.
    """
    totals = onsite.new_zeros(label.graph.n_systems)
    for error, system in zip((onsite, offsite), label.graph.system_of_values):
        totals = totals.index_add(0, system, error.abs().reshape(len(system), -1).mean(1))
    return (totals / label.graph.counts[:, 2:4].sum(1)).mean()


def orbital_error(onsite: Tensor, offsite: Tensor, label: LabelledGraph) -> Tensor:
    """Mean row norm of W† δH W with the damped orbitals W = C diag(w), over the weights w of the rows, of each system.

    Args:
        onsite: Errors δH [n_onsite_values], any unit; of α and β [n_onsite_values, 2].
        offsite: Likewise.
        label: Gives the orbitals.

    Returns:
        Mean over the systems.
    """
    error = label.bloch(onsite, offsite)
    orbitals = label.orbitals.to(error.dtype)
    error = orbitals.mH @ error @ orbitals
    norms = ((error * error.conj()).real.sum(-1) + 1e-12).sqrt()
    return (norms.sum((1, 2)) / label.orbital_weights.to(norms).sum((1, 2))).mean()
