"""Which samples train, validate and test: drawn once from a seed, and carried by the model ever after."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hampred.errors import HampredError


def split_samples(
    molecules: Sequence[str],
    train: int | float,
    validation: int | float,
    test: int | float | None,
    by: Literal["geometry", "molecule"],
    seed: int,
) -> dict[str, list[int]]:
    """Shares out samples.

    Args:
        molecules: Molecule of each sample [n_samples].
        train: Number (int) or fraction (float) of geometries or molecules.
        validation: The same; 0 leaves the part empty.
        test: The same; None takes all that is left.
        by: Whether geometries or whole molecules are drawn.
        seed: Of the draw.

    Returns:
        Indices of the samples under ``train``, ``validation`` and ``test``.

    Raises:
        HampredError: There are not so many, or a part that is asked for would be empty.
    """
    units = np.arange(len(molecules)) if by == "geometry" else np.unique(np.asarray(molecules), return_inverse=True)[1]
    n_units = int(units.max()) + 1
    order = np.random.default_rng(seed).permutation(n_units)
    wanted = [_count(part, n_units) for part in (train, validation)]
    rest = n_units - sum(wanted)
    wanted.append(rest if test is None else _count(test, n_units))
    kind = "geometries" if by == "geometry" else "molecules"
    if sum(wanted) > n_units or wanted[0] < 1 or min(wanted) < 0 or (validation and not wanted[1]):
        raise HampredError(
            f"split: {wanted[0]} + {wanted[1]} + {max(wanted[2], 0)} {kind} asked of {n_units}: "
            "give smaller numbers (whole numbers are counts, others fractions) or more data."
        )
    ends = np.cumsum(wanted)
    parts = {"train": order[: ends[0]], "validation": order[ends[0] : ends[1]], "test": order[ends[1] : ends[2]]}
    return {name: np.flatnonzero(np.isin(units, members)).tolist() for name, members in parts.items()}


def _count(part: int | float, total: int) -> int:
    return part if isinstance(part, int) else round(part * total)
