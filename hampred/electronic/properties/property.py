"""Property: a function of a state, with its unit and how it transforms under O(3)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hampred.errors import UnknownNameError

if TYPE_CHECKING:
    from hampred.electronic.state import ElectronicState

Array = NDArray[np.float64]

KINDS = {
    (0, False): "scalar",
    (0, True): "pseudoscalar",
    (1, False): "vector",
    (1, True): "pseudovector",
    (2, False): "tensor",
    (2, True): "pseudotensor",
}
"""(rank, pseudo) → its name."""


@dataclass(frozen=True)
class Property:
    """A property of a molecule: a Cartesian tensor, or one for each atom or pair of atoms.

    None of them depends on where the molecule stands, the dipole of an ion aside.

    Attributes:
        function: From a state to the value, whose last `rank` axes are x, y, z.
        unit: Of the value.
        meaning: What it is, in one sentence.
        rank: Number of Cartesian axes.
        pseudo: Whether it changes its sign under the inversion beyond what its rank tells.
        axes: What the axes before the Cartesian ones count, such as ``("atom",)``.
    """

    function: "Callable[[ElectronicState], ArrayLike]"
    unit: str
    meaning: str
    rank: int = 0
    pseudo: bool = False
    axes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """How it transforms in words, such as ``vector`` or ``scalar for each atom``."""
        places = "pair of atoms" if self.axes == ("atom", "atom") else " and ".join(self.axes)
        return KINDS[self.rank, self.pseudo] + (f" for each {places}" if places else "")

    def transformed(self, value: ArrayLike, rotation: Array) -> Array:
        """The value for the molecule whose positions r became Q r.

        Args:
            value: For the molecule as it stood.
            rotation: Element Q of O(3), [3, 3].
        """
        found = np.asarray(value, dtype=float)
        for axis in range(found.ndim - self.rank, found.ndim):
            found = np.moveaxis(np.tensordot(rotation, found, axes=(1, axis)), 0, axis)
        return found * np.sign(np.linalg.det(rotation)) if self.pseudo else found


class PropertyValues(Mapping[str, Array]):
    """Properties of one state by name, each computed when it is first asked for."""

    def __init__(self, state: "ElectronicState", properties: Mapping[str, Property]) -> None:
        """Takes a state and the properties that it has."""
        self._state, self._properties = state, properties
        self._known: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        if name not in self._properties:
            near = get_close_matches(str(name), self._properties, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(self._properties)}."
            raise UnknownNameError(f"This state has no property {name!r}: {hint}")
        if name not in self._known:
            self._known[name] = np.asarray(self._properties[name].function(self._state), dtype=float)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._properties)

    def __len__(self) -> int:
        return len(self._properties)

    def __repr__(self) -> str:
        return f"PropertyValues({', '.join(self._properties)})"
