"""Crystals whose matrices are known without an SCF: lattice sums of integrals, and Hückel's H of them."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from hampred.basis import OrbitalBasis
from hampred.blocks.matrix import BlockMatrix
from hampred.electronic.crystal import CrystalState
from hampred.interop.neighbors import neighbor_pairs

Integrals = Callable[[Atoms, str, float], tuple[BlockMatrix, BlockMatrix]]


def lattice_integrals(atoms: Atoms, basis: str, cutoff: float) -> tuple[BlockMatrix, BlockMatrix]:
    """S(R) and T(R) between all atoms closer than the cutoff (Å), from PySCF's integrals of shifted molecules."""
    from pyscf import gto

    def shifted(shift: np.ndarray) -> gto.Mole:
        atom = [(s, tuple(r)) for s, r in zip(atoms.symbols, atoms.positions + shift @ atoms.cell.array)]
        return gto.M(atom=atom, basis=basis, unit="Angstrom", spin=None, verbose=0)

    home = shifted(np.zeros(3))
    layout = OrbitalBasis.from_mole(home, basis).layout(atoms.numbers)
    pairs, shifts, _ = neighbor_pairs(atoms, cutoff)
    own = np.arange(len(atoms))
    pairs = np.concatenate([np.stack([own, own], axis=1), pairs])
    shifts = np.concatenate([np.zeros((len(atoms), 3), dtype=np.int64), shifts])
    images = {tuple(shift): shifted(shift) for shift in np.unique(shifts, axis=0)}
    found = []
    for integral in ("int1e_ovlp", "int1e_kin"):
        dense = {shift: gto.intor_cross(integral, home, image) for shift, image in images.items()}
        blocks = [dense[tuple(r)][layout.orbitals(i), layout.orbitals(j)].ravel() for (i, j), r in zip(pairs, shifts)]
        found.append(BlockMatrix(layout, pairs, shifts, np.concatenate(blocks)).hermitized())
    return found[0], found[1]


def hueckel(overlap: BlockMatrix, onsite: dict[int, float]) -> BlockMatrix:
    """Extended Hückel H_μν = 0.875 (E_μ + E_ν) S_μν, H_μμ = E_μ, with E of each l: as symmetric as the crystal."""
    layout = overlap.layout
    levels = np.array([onsite[l] for z in layout.numbers for l in layout.basis.shells(z) for _ in range(2 * l + 1)])
    mean = 0.5 * (levels[overlap.rows] + levels[overlap.columns])
    factor = np.where(overlap.onsite[overlap.pair_of_value], 1.0, 1.75)
    return BlockMatrix(layout, overlap.pairs, overlap.cell_shifts, factor * mean * overlap.values)


@pytest.fixture(scope="session")
def integrals() -> Integrals:
    """`lattice_integrals`, each computed once."""
    known: dict[tuple, tuple[BlockMatrix, BlockMatrix]] = {}

    def compute(atoms: Atoms, basis: str, cutoff: float) -> tuple[BlockMatrix, BlockMatrix]:
        key = (atoms.positions.tobytes(), atoms.cell.array.tobytes(), atoms.pbc.tobytes(), basis, cutoff)
        if key not in known:
            known[key] = lattice_integrals(atoms, basis, cutoff)
        return known[key]

    return compute


@pytest.fixture(scope="session")
def crystal_of(integrals: Integrals) -> Callable[..., CrystalState]:
    """Builds a Hückel crystal of four valence electrons an atom."""

    def build(atoms: Atoms, basis: str = "gth-szv", cutoff: float = 9.0) -> CrystalState:
        overlap, _ = integrals(atoms, basis, cutoff)
        return CrystalState(atoms, hueckel(overlap, {0: -0.55, 1: -0.28}), overlap, 4.0 * len(atoms))

    return build


@pytest.fixture(scope="session")
def silicon(crystal_of: Callable[..., CrystalState]) -> CrystalState:
    """Diamond structure, two atoms."""
    return crystal_of(bulk("Si"))


def lattice(cell: np.ndarray, hops: dict[tuple[int, int, int], tuple[float, float]], electrons: float) -> CrystalState:
    """One s orbital a cell: (H, S) of each R; −R is added."""
    layout = OrbitalBasis.from_name("sto-3g", [1]).layout([1])
    both = {**hops, **{tuple(-x for x in r): value for r, value in hops.items()}}
    shifts = np.array(list(both))
    pairs = np.zeros((len(both), 2), dtype=np.int64)
    h, s = (BlockMatrix(layout, pairs, shifts, np.array([value[k] for value in both.values()])) for k in (0, 1))
    return CrystalState(Atoms("H", cell=cell, pbc=shifts.any(axis=0)), h, s, electrons)


@pytest.fixture(scope="session")
def toy() -> Callable[..., CrystalState]:
    """`lattice`."""
    return lattice
