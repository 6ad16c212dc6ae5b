"""The contract of every architecture, and what all of them share: scaling and assembly of the blocks."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from hampred.basis import OrbitalBasis
from hampred.blocks.decomposer import BlockDecomposer
from hampred.data.graph import HamiltonianGraph
from hampred.data.inputs import LOCAL
from hampred.data.statistics import BlockStatistics
from hampred.errors import HampredError
from hampred.irreps import o3
from hampred.nn.conditions import VECTORS
from hampred.nn.radial import envelope

MAX_DEGREE = 11
"""Largest angular momentum for which e3nn knows the Wigner matrices."""


FORMS = ("covariant", "mixed", "contravariant")
"""Forms of ΔH = A + ½ (Y S + S Yᵀ) + ½ S (X + Xᵀ) S by the indices of the blocks that a network predicts.

In a basis that is not orthogonal, an operator has these kinds of components (Head-Gordon et al. 1998). They differ in
what is local, and in what an error does. A potential that is constant around each atom is one number of Y; what looks
like a density matrix, as exchange does, is near X. An error of A that is not shaped like the overlap is blown up by S⁻¹
when H C = S C ε is solved; errors of Y less so, and those of X not at all.
"""


@contextmanager
def double_precision() -> Iterator[None]:
    """Networks are built in float64 and cast later: constants such as Clebsch–Gordan coefficients must be exact."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class BlockCoefficients(NamedTuple):
    """Irreps coefficients of all blocks of a batch.

    Attributes:
        onsite: [n_atoms, D_onsite] in the order of `BlockDecomposer.irreps_onsite`.
        offsite: [n_pairs, D_offsite] in the order of `BlockDecomposer.irreps_offsite`.
    """

    onsite: Tensor
    offsite: Tensor


class Hidden(NamedTuple):
    """Features of the atoms in one layer.

    Attributes:
        irreps: How they transform.
        features: [n_atoms, irreps.dim], as e3nn lays them out.
    """

    irreps: o3.Irreps
    features: Tensor

    def invariants(self) -> Tensor:
        """What O(3) leaves unchanged: scalars as they are, of all others the norm [n_atoms, irreps.num_irreps]."""
        parts = []
        for (mul, ir), place in zip(self.irreps, self.irreps.slices()):
            part = self.features[:, place]
            parts.append(part if ir == o3.Irrep("0e") else part.unflatten(1, (mul, ir.dim)).norm(dim=-1))
        return torch.cat(parts, dim=1)


class BlockScaling(nn.Module):
    """Mean (scalars) and width of every irrep, for each element or pair of elements, from the training labels."""

    def __init__(self, decomposer: BlockDecomposer, onsite: bool) -> None:
        super().__init__()
        irreps = decomposer.irreps_onsite if onsite else decomposer.irreps_offsite
        n_elements = len(decomposer.basis.elements)
        shape = (n_elements,) if onsite else (n_elements, n_elements)
        n_irreps = sum(mul for mul, _ in irreps)
        degrees = torch.tensor([ir.l for mul, ir in irreps for _ in range(mul)])
        of_component = torch.repeat_interleave(torch.arange(n_irreps), 2 * degrees + 1)
        self.register_buffer("element_index", decomposer.element_index.clone(), persistent=False)
        self.register_buffer("of_component", of_component, persistent=False)
        self.register_buffer("mean", torch.zeros(*shape, n_irreps))
        self.register_buffer("width", torch.full((*shape, n_irreps), 0.01))

    def forward(self, coefficients: Tensor, numbers: Tensor, with_mean: bool = True) -> Tensor:
        """Turns numbers of order one into Hartree.

        Args:
            coefficients: [n, D].
            numbers: Atomic numbers [n] of onsite blocks, [n, 2] of pairs.
            with_mean: Whether to add the mean.
        """
        scaled = coefficients * self._of(self.width, numbers)
        return scaled + self._of(self.mean, numbers) if with_mean else scaled

    def inverse(self, coefficients: Tensor, numbers: Tensor) -> Tensor:
        """Turns coefficients [n, D] of a matrix into numbers of order one."""
        return (coefficients - self._of(self.mean, numbers)) / self._of(self.width, numbers)

    def _of(self, statistic: Tensor, numbers: Tensor) -> Tensor:
        """The mean or the width of each component [n, D]."""
        index = self.element_index[numbers]
        of_irreps = statistic[(index,) if index.ndim == 1 else index.unbind(-1)]
        return of_irreps.index_select(1, self.of_component)

    def set(self, mean: Tensor, width: Tensor) -> None:
        """Takes over statistics of labels."""
        self.mean.copy_(mean)
        self.width.copy_(width)


class HamiltonianNet(nn.Module, ABC):
    """A network that predicts ΔH = H − H0 of a batch of structures.

    An architecture is one file in `hampred/nn/models` (or an entry point of the group ``hampred.models``) with a
    subclass that gives `name`, `hidden_layers` and `raw_coefficients`. It is equivariant under O(3) by construction.

    Attributes:
        name: The word that selects the architecture in a configuration.
        basis: Orbitals of the elements that it knows.
        decomposer: Blocks ↔ irreps.
        cutoff: Largest distance of a message, Å.
        pair_cutoff: Largest distance of a block, Å.
        inputs: Matrices that the network is given, of `hampred.data.inputs.INPUTS`.
        forms: Forms of `FORMS` in which it predicts.
        conditions: What it is told of a system beside geometry and matrices, of `hampred.nn.conditions.CONDITIONS`.
            With ``spin`` it predicts, in the same forms, half the difference of the Hamiltonians of α and β as well.
    """

    name: ClassVar[str]

    def __init__(
        self,
        basis: OrbitalBasis,
        cutoff: float,
        pair_cutoff: float,
        inputs: Sequence[str],
        forms: Sequence[str],
        conditions: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.basis, self.cutoff, self.pair_cutoff = basis, cutoff, pair_cutoff
        self.inputs, self.forms, self.conditions = tuple(inputs), tuple(forms), tuple(conditions)
        if set(forms) - {"covariant"} and "overlap" not in inputs:
            raise HampredError(f"net.forms {', '.join(forms)} need the overlap: put it into net.inputs.")
        self.decomposer = BlockDecomposer(basis)
        self.onsite_scaling = BlockScaling(self.decomposer, onsite=True)
        self.offsite_scaling = BlockScaling(self.decomposer, onsite=False)
        if self.has_spins:
            self.onsite_splitting = BlockScaling(self.decomposer, onsite=True)
            self.offsite_splitting = BlockScaling(self.decomposer, onsite=False)
        self.onsite_inputs = nn.ModuleList(BlockScaling(self.decomposer, onsite=True) for _ in self.inputs)
        self.offsite_inputs = nn.ModuleList(BlockScaling(self.decomposer, onsite=False) for _ in self.inputs)

    @property
    def has_spins(self) -> bool:
        """Whether it predicts a Hamiltonian for each spin."""
        return "spin" in self.conditions

    @property
    def n_sets(self) -> int:
        """Sets of coefficients: one for each form, of ΔH and of its splitting by spin."""
        return len(self.forms) * (1 + self.has_spins)

    @abstractmethod
    def hidden_layers(self, graph: HamiltonianGraph) -> Iterator[Hidden]:
        """Features of the atoms after each layer."""

    @abstractmethod
    def raw_coefficients(self, graph: HamiltonianGraph) -> tuple[list[BlockCoefficients], Hidden]:
        """`n_sets` sets of coefficients of order one (before the scaling), and the last layer behind them.

        The first are ΔH in each of the `forms`. With spins, those of its splitting over the unpaired electrons follow.
        """

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Arguments (plain JSON types) that build this network again, `basis` aside."""

    def required_lmax(self, lmax: int | None) -> int:
        """Largest angular momentum that the features need for the blocks of the basis, or a larger one that is asked.

        Raises:
            HampredError: A smaller one is asked, or more than `MAX_DEGREE`.
        """
        vectors = int(not set(VECTORS).isdisjoint(self.conditions))
        needed = max(vectors, *(ir.l for _, ir in self.decomposer.irreps_offsite))
        if lmax is not None and lmax < needed:
            raise HampredError(
                f"net.lmax {lmax} cannot represent every block of {self.basis.name}: set it to {needed} or more."
            )
        if max(needed, lmax or 0) > MAX_DEGREE:
            raise HampredError(f"{self.basis.name} with net.lmax {lmax} needs more than l = {MAX_DEGREE}: lower it.")
        return needed if lmax is None else lmax

    def require_periodic(self) -> None:
        """Refuses settings with which no crystal can be predicted.

        Raises:
            HampredError: Forms or inputs that take products of whole matrices, or conditions of molecules.
        """
        if self.conditions:
            raise HampredError("Crystals have no charge, spin or electric field: set net.conditions=[].")
        if set(self.forms) != {"covariant"} or set(self.inputs) - set(LOCAL):
            raise HampredError(
                "Crystals are predicted block by block: set net.forms=[covariant] and net.inputs=[overlap, baseline]."
            )

    def set_statistics(
        self,
        statistics: BlockStatistics,
        inputs: Sequence[BlockStatistics] = (),
        splitting: BlockStatistics | None = None,
    ) -> None:
        """Scales outputs and inputs by the statistics of the training labels; a splitting by that of open shells."""
        onsite, offsite = [self.onsite_scaling, *self.onsite_inputs], [self.offsite_scaling, *self.offsite_inputs]
        if splitting is not None:
            self.onsite_splitting.set(torch.zeros_like(splitting.onsite_width), splitting.onsite_width)
            self.offsite_splitting.set(torch.zeros_like(splitting.offsite_width), splitting.offsite_width)
        for s, on, off in zip((statistics, *inputs), onsite, offsite, strict=True):
            on.set(s.onsite_mean, s.onsite_width)
            off.set(torch.zeros_like(s.offsite_width), s.offsite_width)

    def onsite_input_coefficients(self, graph: HamiltonianGraph) -> list[Tensor]:
        """Irreps coefficients of the onsite blocks of each input matrix [n_atoms, D_onsite], of order one."""
        return self._input_coefficients(graph.onsite_inputs, graph.onsite_values, graph.numbers, self.onsite_inputs)

    def offsite_input_coefficients(self, graph: HamiltonianGraph) -> list[Tensor]:
        """Irreps coefficients of the blocks of pairs of each input matrix [n_pairs, D_offsite], of order one."""
        numbers = graph.numbers[graph.pairs]
        return self._input_coefficients(graph.offsite_inputs, graph.offsite_values, numbers, self.offsite_inputs)

    def _input_coefficients(
        self, values: Tensor, places: Tensor, numbers: Tensor, scalings: nn.ModuleList
    ) -> list[Tensor]:
        n, found = self.decomposer.n_slots, []
        for column, scaling in zip(values.unbind(1), scalings):
            blocks = column.new_zeros(len(numbers) * n * n).index_copy(0, places, column)
            coefficients = self.decomposer.decompose(blocks.reshape(-1, n, n), onsite=numbers.ndim == 1)
            found.append(scaling.inverse(coefficients.to(self.dtype), numbers))
        return found

    def forward(self, graph: HamiltonianGraph) -> list[BlockCoefficients]:
        """`n_sets` sets of coefficients, Hartree: of ΔH in each of the `forms`, and of its splitting likewise."""
        return self._scaled(graph, self.raw_coefficients(graph)[0])

    def with_invariants(self, graph: HamiltonianGraph) -> tuple[list[BlockCoefficients], Tensor]:
        """What `forward` gives, and invariants of the atoms in the last layer [n_atoms, n_invariants]."""
        raw, hidden = self.raw_coefficients(graph)
        return self._scaled(graph, raw), hidden.invariants()

    def _scaled(self, graph: HamiltonianGraph, raw: Sequence[BlockCoefficients]) -> list[BlockCoefficients]:
        """Turns numbers of order one into Hartree; the mean belongs to the first form."""
        numbers, n = graph.numbers, len(self.forms)
        found = [
            BlockCoefficients(
                self.onsite_scaling(onsite, numbers, with_mean=k == 0),
                self.offsite_scaling(offsite, numbers[graph.pairs], with_mean=False),
            )
            for k, (onsite, offsite) in enumerate(raw[:n])
        ]
        spins = graph.spin[graph.system_index].to(self.dtype)[:, None]
        for onsite, offsite in raw[n:]:  # nothing is split where no electron is unpaired
            found.append(
                BlockCoefficients(
                    self.onsite_splitting(onsite * spins, numbers),
                    self.offsite_splitting(offsite * spins[graph.pairs[:, 0]], numbers[graph.pairs]),
                )
            )
        return found

    def matrix_elements(
        self, graph: HamiltonianGraph, coefficients: Sequence[BlockCoefficients]
    ) -> tuple[Tensor, Tensor]:
        """Assembles the blocks of ΔH, which is Hermitian.

        Args:
            graph: The systems.
            coefficients: From `forward`.

        Returns:
            Onsite [n_onsite_values] and offsite [n_offsite_values] elements in the order of the graph's value lists;
            of a network with spins those of ΔH_α and ΔH_β, [n_onsite_values, 2] and [n_offsite_values, 2].
        """
        n = len(self.forms)
        mean = self._assembled(graph, coefficients[:n])
        if not self.has_spins:
            return mean
        pairs = zip(mean, self._assembled(graph, coefficients[n:]))
        onsite, offsite = (torch.stack([both + split, both - split], dim=-1) for both, split in pairs)
        return onsite, offsite

    def _assembled(self, graph: HamiltonianGraph, coefficients: Sequence[BlockCoefficients]) -> tuple[Tensor, Tensor]:
        """Onsite and offsite elements of a Hermitian matrix from the coefficients of each form."""
        elements = {form: self._elements(graph, form, c) for form, c in zip(self.forms, coefficients, strict=True)}
        if set(elements) == {"covariant"}:
            return elements["covariant"]
        distance = graph.vectors.norm(dim=-1)
        fade = envelope(distance, self.pair_cutoff, power=24.0)[graph.offsite_values // self.decomposer.n_slots**2]
        column = self.inputs.index("overlap")
        s = graph.dense(graph.onsite_inputs[:, column], graph.offsite_inputs[:, column] * fade).to(self.dtype)
        products = []
        if "mixed" in elements:
            products.append(graph.dense(*elements["mixed"]) @ s)
        if "contravariant" in elements:
            products.append(s @ graph.dense(*elements["contravariant"]) @ s)
        half = 0.5 * torch.stack(products).sum(0)
        onsite, offsite = graph.values(half + half.transpose(1, 2))
        offsite = offsite * fade.to(self.dtype)
        if "covariant" in elements:
            return onsite + elements["covariant"][0], offsite + elements["covariant"][1]
        return onsite, offsite

    def _elements(self, graph: HamiltonianGraph, form: str, coefficients: BlockCoefficients) -> tuple[Tensor, Tensor]:
        """Elements of the blocks of one form: Hermitian, but for mixed components, which need not be."""
        onsite = self.decomposer.compose(coefficients.onsite, onsite=True)
        offsite = self.decomposer.compose(coefficients.offsite)
        if form != "mixed":
            offsite = 0.5 * (offsite + offsite[graph.reverse].transpose(1, 2))
        return onsite.flatten()[graph.onsite_values], offsite.flatten()[graph.offsite_values]

    def weights(self) -> dict[str, Tensor]:
        """Everything that training determines: parameters and scaling. Constants are not weights: they stay exact."""
        modules = [name for name, module in self.named_modules() if isinstance(module, BlockScaling)]
        scaling = {f"{name}.{kind}" for name in modules for kind in ("mean", "width")}
        return {**dict(self.named_parameters()), **{k: v for k, v in self.named_buffers() if k in scaling}}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Takes over the weights of a network of the same settings; further entries are ignored.

        Raises:
            KeyError: A weight is missing.
            RuntimeError: A weight has another shape.
        """
        with torch.no_grad():
            for name, tensor in self.weights().items():
                if tensor.shape != weights[name].shape:
                    raise RuntimeError(f"{name} has shape {tuple(weights[name].shape)}, not {tuple(tensor.shape)}")
                tensor.copy_(weights[name])

    def __deepcopy__(self, memo: dict[int, Any]) -> "HamiltonianNet":
        """Builds the network again: copies of e3nn's compiled products have buffers that the originals lack."""
        with double_precision():
            copy = type(self)(self.basis, **self.settings())
        copy = copy.to(next(self.parameters())).train(self.training)
        copy.load_weights(self.weights())
        return copy

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return next(self.parameters()).dtype

    @property
    def n_parameters(self) -> int:
        """Number of trained weights."""
        return sum(parameter.numel() for parameter in self.parameters())
