"""Molecules by name (G2 set) and by SMILES."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from ase import Atoms

from hampred.errors import HampredError


def g2_structures(names: Sequence[str]) -> Iterator[Atoms]:
    """Molecules of the G2 set at their reference geometries, with their unpaired electrons.

    Raises:
        HampredError: ASE's G2 set has no such molecule.
    """
    from ase.collections import g2

    for name in names:
        if name not in g2.names:
            close = get_close_matches(name, g2.names, n=3)
            hint = f"did you mean {', '.join(close)}?" if close else "see ase.collections.g2.names."
            raise HampredError(f"ASE's G2 set has no molecule {name!r}: {hint}")
        molecule = g2[name]
        atoms = Atoms(molecule.numbers, molecule.positions)
        atoms.info = {"source": "g2", "molecule": name, "charge": 0}
        if spin := round(molecule.get_initial_magnetic_moments().sum()):
            atoms.info["spin"] = spin
        yield atoms


def smiles_structures(smiles: Sequence[str], conformers: int, seed: int) -> Iterator[Atoms]:
    """Conformers of each SMILES: ETKDG embedding, relaxed with MMFF94 where it knows the atoms.

    Radical electrons of the SMILES are the unpaired ones, all of them parallel ([O][O] is a triplet, O=O a singlet).

    Args:
        smiles: Molecules; two ways to write one molecule give the same ``molecule`` (canonical SMILES).
        conformers: Conformers of each.
        seed: Of the embedding.

    Raises:
        HampredError: RDKit is not installed, cannot read a SMILES, or finds no three-dimensional structure.
    """
    try:
        from rdkit import Chem, RDLogger
        from rdkit.Chem import AllChem, Descriptors
    except ImportError:
        raise HampredError("SMILES need RDKit: pip install 'hampred[smiles]'.") from None
    RDLogger.DisableLog("rdApp.*")
    for text in smiles:
        parsed = Chem.MolFromSmiles(text)
        if parsed is None or parsed.GetNumAtoms() == 0:
            raise HampredError(f"RDKit cannot read the SMILES {text!r}: check it.")
        molecule = Chem.AddHs(parsed)
        places = list(AllChem.EmbedMultipleConfs(molecule, numConfs=conformers, randomSeed=seed % (1 << 31)))
        if not places:
            raise HampredError(f"RDKit finds no three-dimensional structure of {text!r}: give a file instead.")
        if AllChem.MMFFHasAllMoleculeParams(molecule):
            AllChem.MMFFOptimizeMoleculeConfs(molecule, maxIters=2000)
        numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        for place in places:
            atoms = Atoms(numbers, molecule.GetConformer(place).GetPositions())
            charge = Chem.GetFormalCharge(molecule)
            atoms.info = {"source": "smiles", "molecule": Chem.MolToSmiles(parsed), "charge": charge}
            if spin := Descriptors.NumRadicalElectrons(parsed):
                atoms.info["spin"] = spin
            yield atoms
