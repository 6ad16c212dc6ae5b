"""The generalised eigenproblem H C = S C ε of a molecule, or of a crystal at one k."""

import warnings
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh
from scipy.linalg.lapack import get_lapack_funcs

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
    h, s = _checked(hamiltonian, overlap)
    smallest = DEPENDENCE if _independent(s) else float(eigvalsh(s, subset_by_index=(0, 0))[0])
    if smallest >= DEPENDENCE:
        levels, coefficients = eigh(h, s)
        return levels, coefficients
    if smallest < -DEPENDENCE:
        raise HampredError(
            f"The overlap matrix is not positive definite (eigenvalue {smallest:.1e}): "
            "check the order of the orbitals and the geometry."
        )
    return _solve_canonical(h, s)


def energies(hamiltonian: Matrix, overlap: Matrix) -> Array:
    """Energies alone, which cost a third of `solve`; a complex matrix whose imaginary part is zero counts as real.

    Args:
        hamiltonian: As `solve`.
        overlap: As `solve`.

    Returns:
        Energies ε [m], Hartree, ascending.

    Raises:
        HampredError: As `solve`.
    """
    h, s = _checked(hamiltonian, overlap)
    if not (np.imag(h).any() or np.imag(s).any()):
        h, s = np.real(h), np.real(s)
    return eigvalsh(h, s, check_finite=False) if _independent(s) else solve(h, s)[0]


def _checked(hamiltonian: NDArray, overlap: NDArray) -> tuple[Any, Any]:
    """H and S as float64, or complex128 where one of them is complex."""
    number = np.complex128 if np.iscomplexobj(hamiltonian) or np.iscomplexobj(overlap) else np.float64
    h, s = np.asarray(hamiltonian, dtype=number), np.asarray(overlap, dtype=number)
    if h.ndim != 2 or h.shape[0] != h.shape[1] or h.shape != s.shape:
        raise HampredError(f"H of shape {h.shape} and S of shape {s.shape}: give two square matrices of one basis.")
    if not (np.isfinite(h).all() and np.isfinite(s).all()):
        raise HampredError("H or S holds numbers that are not finite: check the geometry and the model.")
    return h, s


def _independent(s: Matrix) -> bool:
    """Whether all eigenvalues of S surely exceed `DEPENDENCE`, at a third of the cost of the smallest one.

    With S = L L†, the trace of S⁻¹ is the sum of |L⁻¹|², and the smallest eigenvalue is at least its inverse.
    """
    factorise, invert = get_lapack_funcs(("potrf", "trtri"), (s,))
    factor, failed = factorise(s, lower=1)
    if failed:
        return False
    inverse, failed = invert(factor, lower=1)
    return not failed and float(np.linalg.norm(inverse)) ** 2 <= 1 / DEPENDENCE


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
    levels, coefficients = eigh(basis.conj().T @ h @ basis)
    return levels, basis @ coefficients
