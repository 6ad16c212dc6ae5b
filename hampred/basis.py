"""Orbital bases read from PySCF, and where the orbitals of a structure stand in its matrices."""

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

from hampred.errors import HampredError
from hampred.harmonics import ao_rotation

LETTERS = "spdfghik"
AO_ORDER = "pyscf"


@dataclass(frozen=True)
class ElementBasis:
    """The orbitals of one element.

    Attributes:
        shells: Angular momentum of each shell, in AO order.
        digest: Hash of all exponents and contraction coefficients.
        n_core: Electrons replaced by an effective core potential or pseudopotential.
    """

    shells: tuple[int, ...]
    digest: str
    n_core: int = 0

    @property
    def n_orbitals(self) -> int:
        """Number of atomic orbitals."""
        return sum(2 * l + 1 for l in self.shells)


@dataclass(frozen=True)
class OrbitalBasis:
    """A basis set as PySCF uses it: the shells of each element.

    Attributes:
        name: PySCF's name of the basis set.
        elements: Atomic number → its orbitals.
    """

    name: str
    elements: Mapping[int, ElementBasis]

    @classmethod
    def from_name(cls, name: str, elements: Iterable[int]) -> "OrbitalBasis":
        """Reads a basis set that PySCF knows.

        Args:
            name: Name of the basis set, such as ``def2-svp``.
            elements: Atomic numbers.

        Raises:
            HampredError: The basis set or one of its elements is unknown.
        """
        return cls(name, {z: _element_basis(name, z) for z in sorted(set(map(int, elements)))})

    @classmethod
    def from_mole(cls, mole: Any, name: str | None = None) -> "OrbitalBasis":
        """Reads the basis of a built PySCF Mole or Cell from its integral tables.

        Raises:
            HampredError: The basis is Cartesian, or two atoms of one element carry different shells.
        """
        if mole.cart:
            raise HampredError("Cartesian orbitals are not supported: build the molecule with cart=False (spherical).")
        elements: dict[int, ElementBasis] = {}
        for atom in range(mole.natm):
            number = atomic_numbers[mole.atom_pure_symbol(atom)]
            found = _read_atom(mole, atom)
            if elements.setdefault(number, found) != found:
                raise HampredError(
                    f"Two {chemical_symbols[number]} atoms carry different shells: give each element one basis."
                )
        label = name or (mole.basis if isinstance(mole.basis, str) else "custom")
        return cls(label, dict(sorted(elements.items())))

    def shells(self, number: int) -> tuple[int, ...]:
        """Angular momenta of the shells of an element, in AO order."""
        return self._element(number).shells

    def n_orbitals(self, number: int) -> int:
        """Number of orbitals of an element."""
        return self._element(number).n_orbitals

    def irreps(self, number: int) -> str:
        """Irreps of the orbitals of an element in AO order, such as ``3x0e+2x1o+1x2e``."""
        runs: list[list[int]] = []
        for l in self.shells(number):
            if runs and runs[-1][1] == l:
                runs[-1][0] += 1
            else:
                runs.append([1, l])
        return "+".join(f"{count}x{l}{'eo'[l % 2]}" for count, l in runs)

    def layout(self, numbers: Sequence[int] | NDArray[np.integer]) -> "BasisLayout":
        """Places the orbitals of a structure with these atomic numbers [n_atoms]."""
        return BasisLayout(self, np.asarray(numbers, dtype=np.int64))

    def merged(self, other: "OrbitalBasis") -> "OrbitalBasis":
        """The union of the elements of two compatible bases."""
        self.require_compatible(other, "basis", "other basis")
        return OrbitalBasis(self.name, dict(sorted({**self.elements, **other.elements}.items())))

    def require_compatible(self, other: "OrbitalBasis", mine: str, theirs: str) -> None:
        """Compares the elements that both bases hold.

        Raises:
            HampredError: One element differs in shells, exponents, coefficients or core; both sides are named.
        """
        for number in self.elements.keys() & other.elements.keys():
            if self.elements[number] != other.elements[number]:
                a, b = (f"{x.name} {x.irreps(number)} #{x.elements[number].digest[:8]}" for x in (self, other))
                raise HampredError(
                    f"Different orbitals for {chemical_symbols[number]}: {mine} has {a}, {theirs} has {b}. "
                    "Use data and models of one basis set."
                )

    @cached_property
    def hash(self) -> str:
        """SHA-256 of elements, shells, exponents, coefficients and the AO order."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The basis as plain JSON types."""
        elements = {
            chemical_symbols[z]: {"shells": list(e.shells), "digest": e.digest, "n_core": e.n_core}
            for z, e in self.elements.items()
        }
        return {"name": self.name, "ao_order": AO_ORDER, "elements": elements}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "OrbitalBasis":
        """Inverse of `to_dict`.

        Raises:
            HampredError: The AO order is not PySCF's.
        """
        if data.get("ao_order") != AO_ORDER:
            raise HampredError(f"Unknown orbital order {data.get('ao_order')!r}: this version reads {AO_ORDER!r}.")
        elements = {
            atomic_numbers[symbol]: ElementBasis(tuple(map(int, e["shells"])), str(e["digest"]), int(e["n_core"]))
            for symbol, e in data["elements"].items()
        }
        return cls(str(data["name"]), dict(sorted(elements.items())))

    def _element(self, number: int) -> ElementBasis:
        try:
            return self.elements[int(number)]
        except KeyError:
            known = " ".join(chemical_symbols[z] for z in self.elements)
            raise HampredError(
                f"Element {chemical_symbols[int(number)]} is not in this {self.name} basis, which holds {known}."
            ) from None


@dataclass(frozen=True, eq=False)
class BasisLayout:
    """Where the orbitals of each atom stand in the matrices of a structure.

    Attributes:
        basis: The shells of each element.
        numbers: Atomic numbers [n_atoms].
    """

    basis: OrbitalBasis
    numbers: NDArray[np.int64]

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Number of orbitals of each atom [n_atoms]."""
        return np.array([self.basis.n_orbitals(z) for z in self.numbers], dtype=np.int64)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """First orbital of each atom, and the number of orbitals at the end [n_atoms + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.numbers)

    @property
    def n_orbitals(self) -> int:
        """Number of orbitals of the structure."""
        return int(self.offsets[-1])

    def n_electrons(self, charge: int = 0) -> int:
        """Electrons that the orbitals hold at a total charge (e); cores that potentials replace are left out."""
        return int(self.numbers.sum()) - sum(self.basis.elements[int(z)].n_core for z in self.numbers) - charge

    def orbitals(self, atom: int) -> slice:
        """Orbitals of an atom."""
        return slice(int(self.offsets[atom]), int(self.offsets[atom + 1]))

    def rotation(self, rotation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrix D(Q) of an element of O(3) on all orbitals: M of the rotated structure is D M Dᵀ.

        Args:
            rotation: Orthogonal matrix [3, 3], which takes positions r to Q r.

        Returns:
            Block-diagonal orthogonal matrix [n_orbitals, n_orbitals].
        """
        shells = [l for z in self.numbers for l in self.basis.shells(z)]
        blocks = {l: ao_rotation(l, rotation) for l in set(shells)}
        matrix = np.zeros((self.n_orbitals, self.n_orbitals))
        start = 0
        for l in shells:
            stop = start + 2 * l + 1
            matrix[start:stop, start:stop] = blocks[l]
            start = stop
        return matrix


def _read_atom(mole: Any, atom: int) -> ElementBasis:
    """Shells of one atom of a built PySCF Mole, read from its integral tables."""
    shells: list[int] = []
    text: list[str] = []
    for shell in mole.atom_shell_ids(atom):
        l = int(mole.bas_angular(shell))
        shells += [l] * int(mole.bas_nctr(shell))
        values = np.concatenate([mole.bas_exp(shell), mole.bas_ctr_coeff(shell).ravel()])
        text.append(f"{l} " + " ".join(f"{value:.7e}" for value in values))
    digest = hashlib.sha256("\n".join(text).encode()).hexdigest()
    return ElementBasis(tuple(shells), digest, int(mole.atom_nelec_core(atom)))


def require_basis_name(name: str) -> None:
    """Lets only names through that PySCF's own tables hold: it would read a file or evaluate other strings.

    Raises:
        HampredError: PySCF has no basis set of this name.
    """
    from difflib import get_close_matches

    from pyscf.gto import basis as tables

    plain = re.fullmatch(r"[A-Za-z0-9+*(),_ -]{2,40}", name) and not Path(name).exists()
    key = re.sub(r"[-_ ]", "", name.lower())
    known = {**tables.ALIAS, **tables.GTH_ALIAS}
    if not plain or not (key in known or key.startswith(("631", "6311", "321", "431"))):
        close = get_close_matches(key, known, n=3)
        hint = f"did you mean {', '.join(close)}?" if close else "see PySCF's list of basis sets."
        raise HampredError(f"PySCF has no basis set {name!r}: {hint}")


@lru_cache(maxsize=512)
def load_element(name: str, symbol: str) -> tuple[list, list]:
    """PySCF's table of one element: its contracted shells, and its effective core potential (empty without one).

    A basis set that was made for an ECP is never given without it: PySCF would converge to wrong physics silently.

    Raises:
        HampredError: The basis set or this element in it is unknown.
    """
    require_basis_name(name)
    from pyscf import gto

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shells = gto.basis.load(name, symbol)
        except Exception as error:  # PySCF raises KeyError, RuntimeError and BasisNotFoundError here
            raise HampredError(f"Basis set {name} has no {symbol} in PySCF: choose another basis.") from error
        try:
            core = gto.basis.load_ecp(name, symbol)
        except Exception:  # no ECP of this name
            core = []
    if not shells:
        raise HampredError(f"Basis set {name} has no {symbol} in PySCF: choose another basis.")
    return shells, core


def is_gth(name: str) -> bool:
    """Whether a basis set was made for the GTH pseudopotentials of crystals."""
    return re.sub(r"[-_ ]", "", name.lower()).startswith("gth")


@lru_cache(maxsize=512)
def load_pseudopotential(name: str, symbol: str) -> list:
    """PySCF's table of the GTH pseudopotential of one element.

    Raises:
        HampredError: PySCF has no pseudopotential of this name, or not for this element.
    """
    from pyscf import gto

    if not re.fullmatch(r"gth-[a-z0-9-]{2,20}", name):
        raise HampredError(f"{name!r} is no GTH pseudopotential: write gth-pbe, gth-pade or gth-blyp.")
    try:
        return list(gto.basis.load_pseudo(name, symbol) or [])
    except Exception as error:  # PySCF raises KeyError, RuntimeError and BasisNotFoundError here
        raise HampredError(f"PySCF has no pseudopotential {name} of {symbol}: choose gth-pbe or gth-pade.") from error


@lru_cache(maxsize=512)
def _element_basis(name: str, number: int) -> ElementBasis:
    from pyscf import gto

    symbol = chemical_symbols[number]
    shells, core = load_element(name, symbol)
    mole = gto.Mole(verbose=0)
    mole.atom, mole.basis = [(symbol, (0.0, 0.0, 0.0))], {symbol: shells}
    if core:
        mole.ecp = {symbol: core}
    mole.spin = None
    mole.build(dump_input=False, parse_arg=False)
    found = _read_atom(mole, 0)
    if is_gth(name):  # the cores are the same whatever functional the pseudopotential is made for
        return replace(found, n_core=number - sum(load_pseudopotential("gth-pbe", symbol)[0]))
    return found
