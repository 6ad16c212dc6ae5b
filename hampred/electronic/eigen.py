"""The generalised eigenproblem H C = S C ε of a molecule, or of a crystal at one k."""

import warnings
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh

from hampred.errors import HampredError

Array = NDArray[np.float64]
Matrix = TypeVar("Matrix", NDArray[np.float64], NDArray[np.complex128])

DEPENDENCE = 1e-7
"""Eigenvalues of S below this are directions that the basis holds twice; they are projected out."""


class NearDependentBasis(UserWarning):
    """Some combinations of the orbitals vanish within `DEPENDENCE` and were projected out."""


def solve(hamiltonian: Matrix, overlap: Matrix) -> tuple[Array, Matrix]:
    """Solves H C = S C ε in float64, or complex128 where H or S is complex.

    Where the smallest eigenvalue of S lies below `DEPENDENCE`, the problem is solved in the space of the remaining
    eigenvectors of S (canonical orthogonalisation: Szabo and Ostlund, Modern Quantum Chemistry, eq. 3.169), with a
    `NearDependentBasis` warning that tells how many orbitals went.

    Args:
        hamiltonian: Symmetric or Hermitian H [n, n], Hartree.
        overlap: Symmetric or Hermitian positive definite S [n, n].

    Returns:
        Energies ε [m] (Hartree, ascending) and coefficients C [n, m] with C† S C = 1; m = n unless the basis is
        near-dependent.

    Raises:
        HampredError: Shapes that differ, numbers that are not finite, or an S that is not positive definite.
    """
    number = np.complex128 if np.iscomplexobj(hamiltonian) or np.iscomplexobj(overlap) else np.float64
    h, s = np.asarray(hamiltonian, dtype=number), np.asarray(overlap, dtype=number)
    if h.ndim != 2 or h.shape[0] != h.shape[1] or h.shape != s.shape:
        raise HampredError(f"H of shape {h.shape} and S of shape {s.shape}: give two square matrices of one basis.")
    if not (np.isfinite(h).all() and np.isfinite(s).all()):
        raise HampredError("H or S holds numbers that are not finite: check the geometry and the model.")
    smallest = float(eigvalsh(s, subset_by_index=(0, 0))[0])
    if smallest >= DEPENDENCE:
        energies, coefficients = eigh(h, s)
        return energies, coefficients
    if smallest < -DEPENDENCE:
        raise HampredError(
            f"The overlap matrix is not positive definite (eigenvalue {smallest:.1e}): "
            "check the order of the orbitals and the geometry."
        )
    return _solve_canonical(h, s)


def _solve_canonical(h: Matrix, s: Matrix) -> tuple[Array, Matrix]:
    """Solves in the space of the eigenvectors of S whose eigenvalues exceed `DEPENDENCE`."""
    weights, vectors = eigh(s)
    keep = weights >= DEPENDENCE
    lost = int((~keep).sum())
    warnings.warn(
        f"{lost} of {len(weights)} orbitals are linearly dependent (overlap eigenvalue {weights[0]:.1e} below "
        f"{DEPENDENCE:.0e}) and were projected out.",
        NearDependentBasis,
        stacklevel=3,
    )
    basis = vectors[:, keep] / np.sqrt(weights[keep])
    energies, coefficients = eigh(basis.conj().T @ h @ basis)
    return energies, basis @ coefficients
