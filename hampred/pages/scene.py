"""What the page of a molecule draws in 3D: nuclei, surfaces of orbitals and density, dipole, labels."""

from base64 import b64encode
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hampred.electronic.channel import channels
from hampred.electronic.open_shell import OpenShellState
from hampred.electronic.state import ElectronicState
from hampred.interop.grid import Grid, density_values, orbital_values
from hampred.pages.plots import COLOURS
from hampred.units import DEBYE, HARTREE

Array = NDArray[np.float64]

N_POINTS = 48_000
"""Of the box: 128 kB a surface in the page, which halves the steps before it draws."""

MARGIN = 3.5
"""Of the box, Å; the tails of what is drawn end within."""

FINEST = 0.12
"""Spacing of the box, Å, below which nothing more is seen."""

LARGEST = 1.0
"""Values beyond which surfaces need not be told apart; what is stored is exact to 3e-5 of this."""

PHASES = (COLOURS["prediction"], COLOURS["offsite"])
"""Colours of positive and negative values of an orbital, and of where α and β electrons prevail."""

DENSITY = "#808080"
"""Colour of the density."""

SMALLEST_DIPOLE = 0.05
"""Debye, below which there is none to draw."""

ANGSTROM_PER_DEBYE = 1.0
"""Length of the arrow."""


State = ElectronicState | OpenShellState


def signed(value: float, digits: int = 2) -> str:
    """A number with a proper minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def scene(state: State) -> dict[str, Any]:
    """All that is drawn, as plain JSON types; lengths in Å."""
    atoms = state.atoms
    grid = _grid(atoms)
    fields = _fields(state, grid)
    return {
        "xyz": _xyz(atoms),
        "positions": atoms.positions.round(4).tolist(),
        "orientation": _orientation(atoms.positions).tolist(),
        "grid": {"origin": grid.origin.tolist(), "spacing": float(grid.axes[0, 0]), "shape": list(grid.shape)},
        "fields": fields,
        "first": _highest(state),
        "dipole": _arrow(state),
        "labels": {
            "atoms": [f"{s}{k}" for k, s in enumerate(atoms.get_chemical_symbols(), 1)],
            **{kind: [signed(value) for value in state.properties[kind]] for kind in populations(state)},
        },
    }


def populations(state: State) -> dict[str, str]:
    """Charges of the atoms, and their spins where electrons are unpaired: property → how the page calls it."""
    told = {"mulliken_charges": "Mulliken charge", "lowdin_charges": "Löwdin charge"}
    if isinstance(state, OpenShellState):
        told |= {"mulliken_spins": "Mulliken spin", "lowdin_spins": "Löwdin spin"}
    return told


def surfaces(state: State) -> dict[tuple[str, int], int]:
    """Spin and index of each orbital that is drawn → number of its surface; those of a density follow them."""
    drawn = [(channel.spin, k) for channel in channels(state) for k in channel.around_gap().values()]
    return {orbital: number for number, orbital in enumerate(drawn)}


def _highest(state: State) -> int:
    """Number of the surface of the HOMO."""
    occupied = [channel for channel in channels(state) if channel.n_occupied]
    highest = max(occupied, key=lambda channel: channel.energies[channel.n_occupied - 1])
    return surfaces(state)[highest.spin, highest.n_occupied - 1]


def _grid(atoms: Atoms) -> Grid:
    size = np.ptp(atoms.positions, axis=0) + 2 * MARGIN
    return Grid.around(atoms, MARGIN, max(FINEST, float(np.prod(size) / N_POINTS) ** (1 / 3)))


def _fields(state: State, grid: Grid) -> list[dict[str, Any]]:
    """Orbitals around the gap, the density, and of an open shell the spin density, at the points of the box."""
    orbital = {"unit": "Bohr^(−3/2)", "level": 0.04, "range": [0.01, 0.2], "colours": PHASES}
    fields = []
    for channel in channels(state):
        named = channel.around_gap()
        values = orbital_values(state.mole, grid, channel.coefficients[:, list(named.values())])
        for (name, k), value in zip(named.items(), values):
            energy, electrons = signed(HARTREE * channel.energies[k], 3), f"{channel.occupations[k]:.3g}"
            told = f"{channel.named(name)}: orbital {k + 1}, {energy} eV, electrons: {electrons}"
            fields.append({"name": channel.named(name), "text": told} | orbital | _stored(value))
    density = {"unit": "e/Bohr³", "level": 0.02, "range": [0.001, 0.3], "colours": (DENSITY,)}
    told = {"name": "Density", "text": "Density of all electrons"}
    fields.append(told | density | _stored(density_values(state.mole, grid, state.density_matrix)))
    if isinstance(state, OpenShellState):
        density |= {"level": 0.005, "range": [0.0005, 0.1], "colours": PHASES}
        told = {"name": "Spin density", "text": "Spin density: α less β electrons"}
        fields.append(told | density | _stored(density_values(state.mole, grid, state.spin_density_matrix)))
    return fields


def _stored(values: Array) -> dict[str, Any]:
    """Numbers as 16-bit integers in base64, and what one of them stands for."""
    scale = min(LARGEST, float(np.abs(values).max())) / 32767 or 1.0
    whole = np.clip(np.rint(values / scale), -32767, 32767).astype("<i2")
    return {"scale": scale, "data": b64encode(whole.tobytes()).decode()}


def _xyz(atoms: Atoms) -> str:
    """Elements and positions; nothing else that a structure carries."""
    lines = [
        f"{symbol} {x:.5f} {y:.5f} {z:.5f}"
        for symbol, (x, y, z) in zip(atoms.get_chemical_symbols(), atoms.positions.tolist())
    ]
    return "\n".join([str(len(atoms)), "", *lines])


def _orientation(positions: Array) -> Array:
    """Quaternion (x, y, z, w) that lays the longest axis across the screen and looks at the molecule from above."""
    centred = positions - positions.mean(axis=0)
    longest_first = np.linalg.eigh(centred.T @ centred)[1][:, ::-1].T
    longest_first[2] *= np.sign(np.linalg.det(longest_first))
    tilt = Rotation.from_euler("xy", [-55, 15], degrees=True)
    return (tilt * Rotation.from_matrix(longest_first)).as_quat()


def _arrow(state: State) -> dict[str, Any] | None:
    """The dipole moment from its negative to its positive end, about the middle of the molecule; None where it is 0."""
    dipole = DEBYE * state.dipole
    if np.linalg.norm(dipole) < SMALLEST_DIPOLE:
        return None
    middle, half = state.atoms.positions.mean(axis=0), ANGSTROM_PER_DEBYE * dipole / 2
    return {"start": (middle - half).tolist(), "end": (middle + half).tolist()}
