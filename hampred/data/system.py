"""System: a structure and all that is known of it before a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

from hampred.baseline import Baseline, LocalBaseline
from hampred.blocks.decomposer import BlockDecomposer
from hampred.blocks.matrix import BlockMatrix
from hampred.data.graph import HamiltonianGraph, build_graph
from hampred.data.inputs import input_values
from hampred.interop.integrals import Integrals


@dataclass(frozen=True, eq=False)
class System:
    """A molecule or crystal as training and prediction need it.

    Attributes:
        integrals: Of the structure; its overlap is S.
        baseline: H0, Hartree.
        graph: What a network sees.
        skeleton: The blocks that the network predicts, without values.
    """

    integrals: Integrals
    baseline: BlockMatrix
    graph: HamiltonianGraph
    skeleton: BlockMatrix

    @classmethod
    def of(
        cls,
        integrals: Integrals,
        baseline: Baseline,
        decomposer: BlockDecomposer,
        cutoff: float,
        pair_cutoff: float,
        inputs: Sequence[str] = (),
    ) -> "System":
        """Builds graph, H0 and inputs of a structure.

        Args:
            integrals: Of the structure.
            baseline: Gives H0.
            decomposer: Gives the slots of the orbitals.
            cutoff: Largest distance of a message, Å.
            pair_cutoff: Largest distance of a block, Å.
            inputs: Matrices that the network is given, of `hampred.data.inputs.INPUTS`.

        Raises:
            HampredError: An element is not in the decomposer's basis, or H0 or an input is not for such a structure.
        """
        graph, skeleton = build_graph(integrals.atoms, decomposer, cutoff, pair_cutoff)
        graph = graph.under(integrals.charge, integrals.spin, integrals.electric_field)
        h0 = baseline_blocks(baseline, integrals)
        if inputs:
            graph = graph.with_inputs(input_values(inputs, skeleton, h0, integrals))
        return cls(integrals, h0, graph, skeleton)


def baseline_blocks(baseline: Baseline, integrals: Integrals) -> BlockMatrix:
    """H0 of a structure, Hartree: that of the baseline, and the potential of the electric field, which is analytic.

    Raises:
        HampredError: The structure is not of the kind that this H0 is for.
    """
    h0 = baseline.blocks(integrals)
    return h0.plus(integrals.field_potential) if integrals.electric_field.any() else h0


def half_baseline(baseline: LocalBaseline, integrals: Integrals) -> BlockMatrix:
    """Half of `baseline_blocks`, Hartree, on the pairs of `Integrals.half_overlap`.

    Raises:
        HampredError: As `baseline_blocks`.
    """
    h0 = baseline.half_blocks(integrals)
    return h0.plus(integrals.half_field_potential) if integrals.electric_field.any() else h0
