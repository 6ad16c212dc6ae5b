"""The loss: errors of matrix elements, and the same errors as the orbitals feel them."""

import torch
from torch import Tensor, nn

from hampred.data.dataset import LabelledGraph


class HamiltonianLoss(nn.Module):
    """Weighted sum of the mean |δH| and of the orbital metric, in mE_h; of crystals up to μS, and at some k-points.

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
        loss = self.elements * torch.cat(errors).abs().mean()
        if self.orbitals:
            loss = loss + self.orbitals * orbital_error(*errors, label)
        return loss


def orbital_error(onsite: Tensor, offsite: Tensor, label: LabelledGraph) -> Tensor:
    """Mean row norm of W† δH W with the damped orbitals W = C diag(w), over the weights w of the rows.

    Args:
        onsite: Errors δH [n_onsite_values], any unit; of α and β [n_onsite_values, 2].
        offsite: Likewise.
        label: Gives the orbitals.
    """
    error = label.bloch(onsite, offsite)
    orbitals = label.orbitals.to(error.dtype)
    error = orbitals.mH @ error @ orbitals
    square = (error * error.conj()).real
    return (square.sum(-1) + 1e-12).sqrt().sum() / label.orbital_weights.to(onsite.dtype).sum()
