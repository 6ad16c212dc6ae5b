"""The bands of a label and of its prediction on one path."""

from dataclasses import dataclass

from hampred.electronic.bands import Bands
from hampred.electronic.crystal import CrystalState
from hampred.errors import HampredError
from hampred.evaluation.band_sampling import choose_path
from hampred.evaluation.crystal_spectrum import MESH_LENGTH
from hampred.interop.crystal_level import mesh_of

SPACING = 0.06
"""Largest distance of neighbouring k-points, 1/Å."""

MOST_ORBITALS = 150
"""Orbitals of a cell whose bands, folded upon each other, one can still tell apart."""


@dataclass(frozen=True, eq=False)
class BandComparison:
    """Bands of one crystal on the default path of its lattice.

    Attributes:
        name: Of the crystal.
        label: Bands of the label.
        prediction: Bands of the prediction, about another zero of energy.
        zero: VBM of the prediction, or Fermi level of a metal, Hartree.
        zero_name: Which of them it is.
    """

    name: str
    label: Bands
    prediction: Bands
    zero: float
    zero_name: str


def band_comparison(name: str, prediction: CrystalState, label: CrystalState) -> BandComparison | None:
    """Computes both; None where the cell is too large, or has no default path."""
    if label.layout.n_orbitals > MOST_ORBITALS:
        return None
    try:
        path, _ = choose_path(label.atoms, label.layout.n_orbitals, spacing=SPACING)
    except HampredError:
        return None
    found = prediction.bands(path)
    mesh = prediction.mesh(mesh_of(label.atoms, MESH_LENGTH))
    if found.is_metal or mesh.is_metal:
        return BandComparison(name, label.bands(path), found, mesh.fermi_level(), "Fermi level")
    highest = max(bands.energies[:, bands.n_occupied - 1].max() for bands in (found, mesh))
    return BandComparison(name, label.bands(path), found, float(highest), "VBM")
