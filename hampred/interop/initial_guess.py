"""A PySCF mean field that starts from the density of a predicted Hamiltonian, if a guard finds it near enough.

PySCF adds density fitting or smearing to a mean field by a class over its own; `WarmStarted` is one more of them. Its
``init_guess`` is ``hampred``, so that setting another guess, or ``kernel(dm0=…)``, has its usual meaning.

A prediction is judged before the first cycle, at a cost of at most the Fock matrix that this cycle needs in any case:

1. Its occupied orbitals must hold the electrons of superposed atoms, which needs no Fock matrix: those of converged
   SCFs hold 95 to 100 % of what any orbitals could hold, those of random Hamiltonians 50 to 95 %.
2. The orbital gradient ‖F D − D F‖ / √N of its density D must be half of that of superposed atoms or less, with the F
   of D in both; of unpaired electrons the root of the mean square over both spins, each with twice its density. F is
   kept for the first cycle where the density is taken, and is lost where it is not: it pays to take any prediction that
   costs no more than one cycle above the default guess.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hampred.interop.mean_field import has_open_shells, is_predictable

KEY = "hampred"
"""Name of the guess, as PySCF's ``init_guess`` has names such as ``minao``."""

LEAST_SHARE = 0.94
"""Share of the electrons of superposed atoms below which a prediction is left without a closer look."""

STEEPEST = 0.5
"""Orbital gradient above which a prediction is left: Hartree, and as a part of that of superposed atoms."""

HamiltonianOf = Callable[[Any, NDArray[np.float64] | None], NDArray]
"""From a Mole, or from a Cell and k-points in units of its reciprocal vectors, to H, H of both spins, or H(k)."""


@dataclass(frozen=True)
class Verdict:
    """What the guard found.

    Attributes:
        taken: Whether the SCF starts from the prediction.
        reason: Why, in a few words.
        share: Of the electrons of superposed atoms that the predicted orbitals hold.
        gradient: Orbital gradient of the prediction, Hartree; None where the share was enough to decide.
        atoms_gradient: That of superposed atoms.
        seconds: Wall time of the prediction and its orbitals.
    """

    taken: bool
    reason: str
    share: float
    gradient: float | None
    atoms_gradient: float | None
    seconds: float


class WarmStarted:
    """Over the class of a mean field of PySCF: its initial guess is a prediction.

    Attributes:
        hamiltonian_of: Predicts a Hamiltonian.
        default_guess: Name of the guess that is taken instead of a bad prediction.
        verdict: What the guard found in the last SCF; None before.
    """

    __name_mixin__ = "WarmStarted"
    _keys = frozenset({"hamiltonian_of", "default_guess", "verdict"})

    def __init__(self, field: Any, hamiltonian_of: HamiltonianOf) -> None:
        """Takes over everything of a mean field but its orbitals, from which PySCF would start again."""
        self.__dict__.update(field.__dict__)
        self.mo_coeff = self.mo_occ = None
        self.hamiltonian_of = hamiltonian_of
        self.default_guess, self.init_guess = field.init_guess, KEY
        self.verdict: Verdict | None = None
        self._diis_start_cycle = field.diis_start_cycle
        self._first: tuple[Any, Any] | None = None

    def get_init_guess(self, mol: Any = None, key: Any = KEY, **keywords: Any) -> Any:
        """Density matrix from which the SCF starts; see the module."""
        guess = super().get_init_guess  # type: ignore[misc]
        if not (isinstance(key, str) and key == KEY):
            return guess(mol, key, **keywords)
        if not is_predictable(self):  # PySCF made another kind of mean field of this one
            return guess(mol, self.default_guess, **keywords)
        mol = self.mol if mol is None else mol
        atoms, overlap = guess(mol, "minao", **keywords), self.get_ovlp(mol)
        start = time.perf_counter()
        orbitals, occupations = self._predict(mol, overlap)
        seconds = time.perf_counter() - start
        density = self.make_rdm1(orbitals, occupations)
        held = _in_orbitals(overlap @ atoms @ overlap, orbitals)
        share, gradients = atomic_share(held, occupations), None
        if share >= LEAST_SHARE:
            fock = _in_orbitals(self._fock(mol, density), orbitals)
            diagonal = occupations[..., None] * np.eye(occupations.shape[-1])
            scale = 2 if has_open_shells(self) else 1
            gradients = orbital_gradient(fock, scale * diagonal), orbital_gradient(fock, scale * held)
        self.verdict = _judge(share, gradients, seconds)
        self._tell()
        # a density that comes from a Hamiltonian has a residual from which DIIS can learn at once
        self.diis_start_cycle = 0 if self.verdict.taken else self._diis_start_cycle
        if self.verdict.taken:
            return density
        self._first = None
        return atoms if self.default_guess == "minao" else guess(mol, self.default_guess, **keywords)

    def get_veff(self, mol: Any = None, dm: Any = None, *arguments: Any, **keywords: Any) -> Any:
        """The potential of a density; that of the initial guess is there already."""
        (known, potential), self._first = self._first or (None, None), None
        if known is not None and dm is known and not (arguments or keywords):
            return potential
        return super().get_veff(mol, dm, *arguments, **keywords)  # type: ignore[misc]

    def undo_warm_start(self) -> Any:
        """The mean field without the prediction, as PySCF has ``undo_df``."""
        from pyscf import lib

        field = lib.view(self, lib.drop_class(self.__class__, WarmStarted))
        field.init_guess, field.diis_start_cycle = self.default_guess, self._diis_start_cycle
        for name in ("hamiltonian_of", "default_guess", "verdict", "_diis_start_cycle", "_first"):
            delattr(field, name)
        return field

    def _predict(self, mol: Any, overlap: NDArray) -> tuple[NDArray, NDArray]:
        """Predicted orbitals, and their occupations by the rule of the mean field (aufbau or smearing)."""
        kpoints = getattr(self, "kpts", None)
        hamiltonian = self.hamiltonian_of(mol, None if kpoints is None else mol.get_scaled_kpts(kpoints))
        energies, orbitals = self.eig(hamiltonian, overlap, x=self.check_linear_dependency(overlap, 0))
        return np.asarray(orbitals), np.asarray(self.get_occ(energies, orbitals))

    def _tell(self) -> None:
        """The verdict in the log of PySCF; a prediction that was left is told at the usual verbosity already."""
        from pyscf.lib import logger

        assert self.verdict is not None
        tell, what = (logger.info, "taken") if self.verdict.taken else (logger.note, "left")
        tell(self, "Predicted density is %s: %s.", what, self.verdict.reason)

    def _fock(self, mol: Any, density: Any) -> NDArray:
        """F of a density, whose potential is kept for the first cycle."""
        self._first = None
        potential = self.get_veff(mol, density)
        self._first = density, potential
        return np.asarray(self.get_hcore(mol) + potential)


def atomic_share(atoms: NDArray, occupations: NDArray) -> float:
    """Overlap tr(D A) of a density D with superposed atoms A, over the largest that orbitals can have.

    With the occupations n of D and the eigenvalues a of A, both sorted, the largest is Σ n_i a_i (Fan, Proc. Natl.
    Acad. Sci. 35, 652 (1949)).

    Args:
        atoms: A, or A(k), in the basis of the orbitals of D [(n_kpts,) m, m]; of two spins A_α and A_β.
        occupations: Electrons in each of these orbitals [(n_kpts,) m].

    Returns:
        Between 0 and 1.
    """
    found = (occupations * np.einsum("...ii->...i", atoms).real).sum()
    return float(found / (np.sort(occupations, axis=None) @ np.sort(np.linalg.eigvalsh(atoms), axis=None)))


def orbital_gradient(fock: NDArray, density: NDArray) -> float:
    """‖F D − D F‖ / √N of N electrons in an orthonormal basis, which vanishes at convergence.

    Args:
        fock: F, or F(k) [(n_kpts,) m, m], Hartree; of two spins F_α and F_β.
        density: D, or D(k) [(n_kpts,) m, m]; of two spins 2 D_α and 2 D_β, which makes their mean a closed shell's.

    Returns:
        Hartree; of a crystal the root of the mean square over k.
    """
    commutator = fock @ density - density @ fock
    square = (np.abs(commutator) ** 2).sum(axis=(-1, -2)).mean()
    return float(np.sqrt(square / np.einsum("...ii->...", density).real.mean()))


def _in_orbitals(matrix: NDArray, orbitals: NDArray) -> NDArray:
    """C† M C."""
    return orbitals.conj().swapaxes(-1, -2) @ matrix @ orbitals


def _judge(share: float, gradients: tuple[float, float] | None, seconds: float) -> Verdict:
    """The verdict on a share, and on the gradients of prediction and superposed atoms where they were computed."""
    if gradients is None:
        reason = f"its orbitals hold {share:.0%} of the electrons of superposed atoms, less than {LEAST_SHARE:.0%}"
        return Verdict(False, reason, share, None, None, seconds)
    own, atoms = gradients
    reason = f"its orbital gradient is {own:.2g} Hartree, that of superposed atoms {atoms:.2g}"
    return Verdict(own <= STEEPEST * min(atoms, 1.0), reason, share, own, atoms, seconds)


def warm_started(field: Any, hamiltonian_of: HamiltonianOf) -> Any:
    """A copy of a mean field that starts from predictions; one that does so already takes the new ones.

    Args:
        field: Mean field of PySCF, of a molecule or of a crystal with k-points; see `is_predictable`.
        hamiltonian_of: Predicts H [n, n], H_α and H_β [2, n, n] of UKS, or H(k) [n_kpts, n, n], in Hartree.
    """
    from pyscf import lib

    if isinstance(field, WarmStarted):
        field = field.undo_warm_start()
    return lib.set_class(WarmStarted(field, hamiltonian_of), (WarmStarted, type(field)))
