"""Properties of a state, one file for each group of them; to add one is a function of a state and an entry here."""

from collections.abc import Mapping

from hampred.electronic.properties.bond_orders import mayer_bond_orders, wiberg_bond_orders
from hampred.electronic.properties.charges import lowdin_charges, mulliken_charges
from hampred.electronic.properties.inertia import inertia, rotational_constants
from hampred.electronic.properties.multipoles import dipole, quadrupole
from hampred.electronic.properties.potential import potential_at_nuclei
from hampred.electronic.properties.property import Property
from hampred.electronic.properties.response import optical_rotation, optical_rotation_tensor, polarizability
from hampred.electronic.properties.spin import lowdin_spins, mulliken_spins, s_squared

ATOM, PAIR = ("atom",), ("atom", "atom")

PROPERTIES: Mapping[str, Property] = {
    "homo": Property(lambda state: state.homo, "Hartree", "Energy of the highest occupied orbital."),
    "lumo": Property(lambda state: state.lumo, "Hartree", "Energy of the lowest empty orbital."),
    "gap": Property(lambda state: state.gap, "Hartree", "LUMO − HOMO."),
    "dipole": Property(dipole, "e·a0", "Dipole moment about the origin of the coordinates.", rank=1),
    "quadrupole": Property(
        quadrupole, "e·a0²", "Traceless quadrupole moment about the centre of nuclear charge.", rank=2
    ),
    "mulliken_charges": Property(mulliken_charges, "e", "Charges by Mulliken's populations.", axes=ATOM),
    "lowdin_charges": Property(
        lowdin_charges, "e", "Charges by populations of Löwdin's orthogonalised orbitals.", axes=ATOM
    ),
    "mayer_bond_orders": Property(mayer_bond_orders, "1", "Mayer's bond orders.", axes=PAIR),
    "wiberg_bond_orders": Property(
        wiberg_bond_orders, "1", "Wiberg's bond orders in Löwdin's orthogonalised orbitals.", axes=PAIR
    ),
    "potential_at_nuclei": Property(
        potential_at_nuclei, "Hartree/e", "Electrostatic potential of the electrons and all other nuclei.", axes=ATOM
    ),
    "polarizability": Property(
        polarizability, "e²·a0²/E_h", "Static dipole polarizability of independent electrons.", rank=2
    ),
    "optical_rotation_tensor": Property(
        optical_rotation_tensor,
        "e²·a0³/E_h",
        "Static G'/ω of independent electrons about the centre of nuclear charge.",
        rank=2,
        pseudo=True,
    ),
    "optical_rotation": Property(
        optical_rotation, "e²·a0³/E_h", "Rosenfeld's β = −⅓ tr G'/ω, zero for achiral molecules.", pseudo=True
    ),
    "inertia": Property(inertia, "u·Å²", "Tensor of inertia about the centre of mass.", rank=2),
    "rotational_constants": Property(rotational_constants, "GHz", "Rotational constants A ≥ B ≥ C.", axes=("axis",)),
}
"""Name → property."""

_OF_BOTH = ("homo", "lumo", "gap", "dipole", "quadrupole", "mulliken_charges", "lowdin_charges", "potential_at_nuclei")

OPEN_SHELL_PROPERTIES: Mapping[str, Property] = {
    **{name: PROPERTIES[name] for name in (*_OF_BOTH, "inertia", "rotational_constants")},
    "mulliken_spins": Property(mulliken_spins, "1", "α less β electrons by Mulliken's populations.", axes=ATOM),
    "lowdin_spins": Property(lowdin_spins, "1", "α less β electrons in Löwdin's orthogonalised orbitals.", axes=ATOM),
    "s_squared": Property(s_squared, "1", "⟨S²⟩ of the determinant of the occupied orbitals."),
}
"""Name → property of open shells."""
