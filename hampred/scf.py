"""Warm start: an SCF of PySCF that begins from a predicted Hamiltonian."""

from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from hampred.basis import OrbitalBasis
from hampred.errors import HampredError
from hampred.inference import Predictor, load
from hampred.interop.electric_field import field_of, with_field
from hampred.interop.initial_guess import warm_started
from hampred.interop.mean_field import (
    atoms_of,
    functional_of,
    has_pseudopotentials,
    require_predictable,
    same_functional,
)


def warm_start(mf: Any, model: Path | str | Predictor, force: bool = False) -> Any:
    """A mean field whose SCF starts from the prediction of a model.

        mf = hampred.warm_start(mf, "model.safetensors")
        mf.kernel()

    Geometry, basis, charge, spin and k-points are those of the mean field when ``kernel`` is called; an electric field
    is known of those that `hampred.interop.electric_field.in_electric_field` put into one. A guard compares the
    prediction with superposed atoms, and leaves it where it would not pay (`hampred.interop.initial_guess`);
    ``mf.verdict`` says afterwards what it found. ``kernel(dm0=…)`` or another ``mf.init_guess`` have the last word, and
    a mean field that has orbitals goes on from those, as PySCF always does. The energy is PySCF's: a guess changes how
    many cycles it takes.

    Args:
        mf: PySCF's RKS, UKS of unpaired electrons (density-fitted or not, smeared or not), or KRKS without symmetry of
            k-points; not changed.
        model: Model file, training checkpoint, folder of a training run, or a `Predictor`.
        force: Start from a model of another functional, pseudopotential, charge or spin as well.

    Returns:
        A mean field of the same kind.

    Raises:
        HampredError: No such mean field, orbitals or elements other than those of the model, a molecule where the model
            knows crystals or the other way round, open shells where it knows closed ones; or, without ``force``, a
            functional, pseudopotential, charge or spin that the model was not trained for.
    """
    predictor = load(model) if isinstance(model, (str, Path)) else model
    require_predictable(mf)
    _require_known(mf, mf.mol, predictor)
    if not force:
        _require_trained_for(mf, predictor)

    def hamiltonian(mole: Any, kpoints: NDArray[np.float64] | None) -> NDArray:
        atoms = _require_known(mf, mole, predictor)  # it may be another molecule by now
        predicted = predictor.predict(atoms, int(mole.charge))
        if kpoints is None:
            return predicted.hamiltonians if predicted.spin else predicted.hamiltonian
        bloch = predicted.hamiltonian.bloch(kpoints)
        return bloch if kpoints.any() else bloch.real

    return warm_started(mf, hamiltonian)


def require_trained_for(predictor: Predictor, charge: int, spin: int, hint: str = "use one that was.") -> None:
    """Refuses charges (e) and unpaired electrons that no label of a model had.

    Args:
        predictor: The model.
        charge: Total charge (e).
        spin: Unpaired electrons.
        hint: What to do, as the message puts it.

    Raises:
        HampredError: That.
    """
    known = {"charge": (charge, predictor.trained_charges), "spin": (spin, predictor.trained_spins)}
    for what, (own, trained) in known.items():
        if own not in trained:
            raise HampredError(f"The model was not trained for {what} {own}, but for {trained}: {hint}")


def _require_known(mf: Any, mole: Any, predictor: Predictor) -> Atoms:
    """The structure of a Mole or Cell, in the electric field of its mean field.

    Raises:
        HampredError: The model cannot predict it at all.
    """
    atoms = with_field(atoms_of(mole), field_of(mf))
    predictor.check(atoms, int(mole.charge), "The structure of the mean field")
    OrbitalBasis.from_mole(mole).require_compatible(predictor.basis, "the mean field", "the model")
    return atoms


def _require_trained_for(mf: Any, predictor: Predictor) -> None:
    """Refuses what the model was not trained for.

    Raises:
        HampredError: Another functional, pseudopotential, charge or spin.
    """
    level, own = predictor.level, functional_of(mf)
    hint = "use a model that was, or force=True to try."
    if not same_functional(level.functional, own):
        raise HampredError(f"The model was not trained for the functional {own}, but for {level.functional}: {hint}")
    require_trained_for(predictor, int(mf.mol.charge), 0 if level.crystal else int(mf.mol.spin), hint)
    if level.crystal is not None and not has_pseudopotentials(mf.mol, level.crystal.pseudo):
        raise HampredError(f"The model was trained for {level.crystal.pseudo}, not for these pseudopotentials: {hint}")
