"""Sources of labels, one file each."""

from data_gen.backends.base import Backend
from hampred.config import GuardConfig, LevelConfig, ScfConfig


def backend_of_level(level: LevelConfig, scf: ScfConfig, guard: GuardConfig, forces: bool) -> Backend:
    """The backend of crystals where the level says what crystals need to be told, else that of molecules.

    Raises:
        HampredError: Unknown functional or basis set, or settings that do not fit together.
    """
    if level.crystal is not None:
        from data_gen.backends.pyscf_crystal import PySCFCrystal

        return PySCFCrystal(level, scf, guard, forces)
    from data_gen.backends.pyscf_molecule import PySCFMolecule

    return PySCFMolecule(level, scf, guard, forces)
