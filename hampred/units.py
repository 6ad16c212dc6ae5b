"""The only unit conversions: CODATA values from scipy.

Lengths are Å and energies Hartree in every file and tensor; PySCF alone is spoken to in Bohr.
"""

from scipy.constants import N_A, atomic_mass, calorie, h, physical_constants, pi

BOHR: float = physical_constants["Bohr radius"][0] * 1e10
"""One Bohr in Å."""

HARTREE: float = physical_constants["Hartree energy in eV"][0]
"""One Hartree in eV."""

MILLI_EV: float = 1e3 * HARTREE
"""One Hartree in meV."""

MICRO_HARTREE: float = 1e6
"""One Hartree in µE_h."""

DEBYE: float = physical_constants["atomic unit of electric dipole mom."][0] / 3.33564095198e-30
"""One atomic unit of dipole moment (e·a0) in Debye."""

FIELD: float = HARTREE / BOHR
"""One atomic unit of electric field (Hartree/(e·a0)) in V/Å."""

KCAL_PER_MOL: float = physical_constants["Hartree energy"][0] * N_A / (1e3 * calorie)
"""One Hartree in kcal/mol."""

ROTATIONAL_CONSTANT: float = h / (8 * pi**2 * atomic_mass * 1e-20) * 1e-9
"""Rotational constant (GHz) of a moment of inertia of 1 u·Å²."""
