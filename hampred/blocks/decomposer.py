"""BlockDecomposer: blocks between atomic orbitals ↔ coefficients of irreps of O(3).

A block between shells l_a and l_b is a tensor product l_a ⊗ l_b = ⊕ L = |l_a − l_b| … l_a + l_b of parity
(−1)^(l_a + l_b). The change of basis is orthogonal, so an error in the coefficients is the error in the block.
"""

import warnings
from collections import defaultdict
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from hampred.basis import OrbitalBasis
from hampred.harmonics import ao_to_irreps
from hampred.irreps import o3


@lru_cache
def coupling(l_a: int, l_b: int, l: int) -> NDArray[np.float64]:
    """Orthonormal Clebsch–Gordan tensor [2l_a+1, 2l_b+1, 2l+1]: the first two indices in AO order, the third e3nn's."""
    w3j = o3.wigner_3j(l_a, l_b, l, dtype=torch.float64).numpy() * np.sqrt(2 * l + 1)
    return np.einsum("uvm,ua,vb->abm", w3j, ao_to_irreps(l_a), ao_to_irreps(l_b))


class BlockDecomposer:
    """Orthogonal map between blocks and irreps, on the padded union of the shells of all elements.

    Every atom gets a slot for each shell of the union: the n-th shell of angular momentum l of an element fills the
    n-th slot of that l; slots that an element lacks stay zero. Onsite blocks are symmetric, so their coefficients
    span symmetric matrices only: half of the antisymmetric irreps do not exist there.

    Attributes:
        basis: The orbitals of each element.
        n_slots: Orbitals of the union, N.
        irreps_offsite: Irreps of the coefficients of a block of two atoms, dimension N².
        irreps_onsite: Irreps of the coefficients of a symmetric block, dimension N (N + 1) / 2.
        slots: Slot of each orbital of each element [118 + 1, max n_orbitals]; −1 where there is none.
        element_index: Rank of each atomic number among the elements of the basis [118 + 1]; −1 for the others.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        self.basis = basis
        counts: dict[int, int] = {}
        for number in basis.elements:
            shells = basis.shells(number)
            for l in set(shells):
                counts[l] = max(counts.get(l, 0), shells.count(l))
        self.union = tuple(l for l in sorted(counts) for _ in range(counts[l]))
        self.n_slots = sum(2 * l + 1 for l in self.union)
        self.slots = torch.from_numpy(self._slots())
        self.element_index = torch.full((119,), -1)
        self.element_index[torch.tensor(list(basis.elements))] = torch.arange(len(basis.elements))

        starts = np.concatenate([[0], np.cumsum([2 * l + 1 for l in self.union])])
        self._spans = [slice(int(a), int(b)) for a, b in pairwise(starts)]
        self.irreps_offsite, offsite = self._change_of_basis(onsite=False)
        self.irreps_onsite, onsite = self._change_of_basis(onsite=True)
        self._matrices: dict[tuple[bool, bool, torch.dtype, torch.device], Tensor] = {}
        for kind, matrix in ((False, offsite), (True, onsite)):
            with warnings.catch_warnings():  # torch calls its CSR format "beta"
                warnings.simplefilter("ignore")
                self._matrices[kind, False, torch.float64, matrix.device] = matrix.to_sparse_csr()
                self._matrices[kind, True, torch.float64, matrix.device] = matrix.t().to_sparse_csr()

    def __deepcopy__(self, memo: object) -> "BlockDecomposer":
        """Itself: it never changes, and torch cannot copy sparse matrices."""
        return self

    def _matrix(self, onsite: bool, transposed: bool, like: Tensor) -> Tensor:
        """The change of basis [D, N²] or its transpose, in the precision and on the device of a tensor."""
        key = (onsite, transposed, like.dtype, like.device)
        if key not in self._matrices:
            exact = self._matrices[onsite, transposed, torch.float64, torch.device("cpu")]
            self._matrices[key] = exact.to(device=like.device, dtype=like.dtype)
        return self._matrices[key]

    def _slots(self) -> NDArray[np.int64]:
        """Slot of each orbital of each element [118 + 1, max n_orbitals]; −1 where there is none."""
        first = {}
        position = 0
        for l in self.union:
            first.setdefault(l, position)
            position += 2 * l + 1
        widest = max(element.n_orbitals for element in self.basis.elements.values())
        slots = np.full((119, widest), -1, dtype=np.int64)
        for number in self.basis.elements:
            taken: dict[int, int] = defaultdict(int)
            row: list[int] = []
            for l in self.basis.shells(number):
                start = first[l] + taken[l] * (2 * l + 1)
                row += range(start, start + 2 * l + 1)
                taken[l] += 1
            slots[number, : len(row)] = row
        return slots

    def _change_of_basis(self, onsite: bool) -> tuple[o3.Irreps, Tensor]:
        """Irreps of the coefficients, and the sparse matrix [D, N²]."""
        entries: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for a, l_a in enumerate(self.union):
            for b, l_b in enumerate(self.union):
                for l in range(abs(l_a - l_b), l_a + l_b + 1):
                    antisymmetric = (l_a + l_b + l) % 2
                    if onsite and (b < a or (a == b and antisymmetric)):
                        continue
                    entries[l, (-1) ** (l_a + l_b)].append((a, b))
        irreps = [(len(shells), (l, p)) for (l, p), shells in sorted(entries.items())]
        rows, columns, values, row = [], [], [], 0
        for (l, _), pairs in sorted(entries.items()):
            for a, b in pairs:
                tensor = np.zeros((self.n_slots, self.n_slots, 2 * l + 1))
                tensor[self._spans[a], self._spans[b]] = coupling(self.union[a], self.union[b], l)
                if onsite and a != b:  # one coefficient for the block and its transpose
                    tensor = (tensor + tensor.transpose(1, 0, 2)) / np.sqrt(2)
                i, j, m = np.nonzero(np.abs(tensor) > 1e-14)
                rows.append(row + m)
                columns.append(i * self.n_slots + j)
                values.append(tensor[i, j, m])
                row += 2 * l + 1
        index = torch.from_numpy(np.stack([np.concatenate(rows), np.concatenate(columns)]))
        shape = (row, self.n_slots**2)
        matrix = torch.sparse_coo_tensor(index, torch.from_numpy(np.concatenate(values)), shape, check_invariants=True)
        return o3.Irreps(irreps), matrix.coalesce()  # pyright: ignore[reportReturnType] (a type of e3nn)

    def decompose(self, blocks: Tensor, onsite: bool = False) -> Tensor:
        """Coefficients of padded blocks.

        Args:
            blocks: [n, N, N]; symmetric where `onsite`.
            onsite: Whether the blocks belong to one atom each.

        Returns:
            Coefficients [n, D] in the order of `irreps_onsite` or `irreps_offsite`; the norm is that of the blocks.
        """
        flat = blocks.flatten(1)
        coefficients: Tensor = _Times.apply(flat, *(self._matrix(onsite, back, flat) for back in (False, True)))
        return coefficients

    def compose(self, coefficients: Tensor, onsite: bool = False) -> Tensor:
        """Padded blocks [n, N, N] of coefficients [n, D]; the inverse of `decompose`."""
        matrices = (self._matrix(onsite, back, coefficients) for back in (True, False))
        blocks: Tensor = _Times.apply(coefficients, *matrices)
        return blocks.reshape(-1, self.n_slots, self.n_slots)


class _Times(torch.autograd.Function):
    """x Mᵀ with a sparse M whose transpose is known too: torch would sort it anew in every backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        return (matrix @ x.T).T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return (ctx.transpose @ gradient.T).T, None, None
