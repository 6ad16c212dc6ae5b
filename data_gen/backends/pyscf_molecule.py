"""Labels of molecules: Kohn–Sham calculations with PySCF, restricted for closed shells, unrestricted for open ones."""

import re
import time
import warnings
from typing import Any

import numpy as np
import pyscf
from ase import Atoms
from numpy.typing import NDArray
from pyscf import dft
from pyscf.lib import num_threads
from scipy.linalg import eigh

from data_gen.guard import BadLabelError, check_geometry, check_label, check_overlap, check_spin
from hampred.basis import BasisLayout, OrbitalBasis, require_basis_name
from hampred.blocks.matrix import BlockMatrix
from hampred.config import GuardConfig, LevelConfig, ScfConfig
from hampred.data.sample import HamiltonianSample, LevelOfTheory
from hampred.errors import FailedError, HampredError
from hampred.interop.electric_field import electric_field, in_electric_field, with_field
from hampred.interop.pyscf import build_mole
from hampred.interop.structures import read_spin
from hampred.units import BOHR

Array = NDArray[np.float64]

VWN = {7: "VWN5", 8: "VWN-RPA", 402: "VWN-RPA", 403: "VWN-RPA", 411: "VWN-RPA", 475: "VWN5"}
"""libxc numbers whose local correlation has more than one meaning in the literature."""

CACHED_ORBITALS = 256 << 20
"""Bytes of orbital values on the grid that are kept from one cycle to the next."""


class PySCFMolecule:
    """Kohn–Sham labels of molecules: RKS, or UKS where ``atoms.info["spin"]`` tells of unpaired electrons.

    Attributes:
        level: What defines the labels.
    """

    def __init__(
        self, level: LevelConfig, scf: ScfConfig | None = None, guard: GuardConfig | None = None, forces: bool = False
    ) -> None:
        """Checks the level against PySCF's and libxc's own tables.

        Raises:
            HampredError: Unknown functional or basis set.
        """
        self.scf, self.guard, self.forces = scf or ScfConfig(), guard or GuardConfig(), forces
        require_basis_name(level.basis)
        if level.auxbasis is not None:
            require_basis_name(level.auxbasis)
            if not level.density_fit:
                raise HampredError("level.auxbasis is given without level.density_fit: true: give both or neither.")
        self.level = LevelOfTheory(
            functional=level.functional.lower(),
            functional_definition=functional_definition(level.functional),
            basis=level.basis.lower(),
            grid_level=level.grid_level,
            conv_tol=level.conv_tol,
            density_fit=level.density_fit,
            auxbasis=level.auxbasis,
            code=f"PySCF {pyscf.__version__}, libxc {dft.libxc.__version__}",
        )

    def check(self, atoms: Atoms, charge: int) -> int:
        """Refuses a structure before any work; see `data_gen.guard.check_geometry`.

        Returns:
            Number of orbitals.
        """
        electric_field(atoms)  # refuses what is none
        spin = read_spin(atoms, charge)
        check_geometry(atoms, charge, spin, allow_unusual_distances=self.guard.allow_unusual_distances)
        basis = OrbitalBasis.from_name(self.level.basis, atoms.numbers)
        n_orbitals = basis.layout(atoms.numbers).n_orbitals
        n_electrons = sum(int(z) - basis.elements[int(z)].n_core for z in atoms.numbers) - charge
        if not spin <= n_electrons <= 2 * n_orbitals - spin:
            raise HampredError(
                f"{n_electrons} electrons, {spin} of them unpaired, do not fit {n_orbitals} orbitals: "
                "check charge, spin and basis."
            )
        return n_orbitals

    def cpu_seconds(self, n_orbitals: int) -> float:
        """4.5 s at 72 orbitals, growing with the power 2.3 (PBE/def2-SVP)."""
        return 4.5 * (n_orbitals / 72) ** 2.3

    def label(self, atoms: Atoms, charge: int = 0) -> HamiltonianSample:
        """Runs the SCF and takes F at the converged density.

        Args:
            atoms: Positions in Å; ``info`` may hold ``spin`` and ``electric_field``, and goes into the provenance.
            charge: Total charge (e).

        Raises:
            HampredError: The guard refuses the structure.
            FailedError: Not converged, or a label that must not be learned from.
        """
        start, cpu = time.perf_counter(), time.process_time()
        self.check(atoms, charge)
        vector, spin = electric_field(atoms), read_spin(atoms, charge)
        mole = build_mole(atoms, self.level.basis, charge, spin)
        overlap = mole.intor_symmetric("int1e_ovlp")
        smallest = check_overlap(overlap, self.guard.min_overlap_eigenvalue)
        field, fock, ladder, cycles = self._converge(mole, vector)
        provenance = {key: value for key, value in atoms.info.items() if isinstance(value, (str, int, float))}
        provenance |= {"converged_by": ladder, "min_overlap_eigenvalue": smallest, "threads": num_threads()}
        layout = OrbitalBasis.from_mole(mole, self.level.basis).layout(atoms.numbers)
        if spin:
            matrices, energies, s_squared = self._open_shell(field, fock, overlap, layout)
            provenance |= s_squared
        else:
            energies = eigh(fock, overlap, eigvals_only=True)
            check_label(fock, overlap, field.make_rdm1(), energies, mole.nelectron)
            matrices = {"hamiltonian": BlockMatrix.from_dense(layout, 0.5 * (fock + fock.T))}
        if not field.e_tot < 0:
            raise BadLabelError(f"The energy is {field.e_tot:.3f} Ha, of no bound molecule: check geometry and charge.")
        dipole = np.asarray(field.dip_moment(unit="AU", verbose=0))
        forces = -field.nuc_grad_method().set(verbose=0).kernel() / BOHR if self.forces else None
        provenance |= {
            "wall_s": round(time.perf_counter() - start, 3),
            "cpu_s": round(time.process_time() - cpu, 3),
        }
        bare = with_field(Atoms(atoms.numbers, atoms.positions), vector)
        bare.info |= {"spin": spin} if spin else {}
        return HamiltonianSample(
            atoms=bare,
            basis=layout.basis,
            matrices=matrices,
            orbital_energies=energies,
            level=self.level,
            total_energy=float(field.e_tot),
            dipole=dipole,
            forces=forces,
            scf_cycles=cycles,
            charge=charge,
            spin=spin,
            provenance=provenance,
        )

    def _open_shell(
        self, field: Any, fock: Array, overlap: Array, layout: BasisLayout
    ) -> tuple[dict[str, BlockMatrix], Array, dict[str, float]]:
        """Mean and half difference of F_α and F_β, their eigenvalues [2, n_orbitals], and ⟨S²⟩ with its contamination.

        Raises:
            BadLabelError: A label that must not be learned from.
        """
        energies = np.stack([eigh(one, overlap, eigvals_only=True) for one in fock])
        for one, density, levels, n in zip(fock, field.make_rdm1(), energies, field.mol.nelec):
            check_label(one, overlap, density, levels, n, filling=1)
        s_squared = float(field.spin_square()[0])
        contamination = check_spin(s_squared, field.mol.spin, self.guard.max_spin_contamination)
        alpha, beta = (BlockMatrix.from_dense(layout, 0.5 * (one + one.T)) for one in fock)
        halves = {"hamiltonian": alpha.plus(beta), "spin_splitting": alpha.minus(beta)}
        matrices = {name: both.with_values(0.5 * both.values) for name, both in halves.items()}
        return matrices, energies, {"s_squared": s_squared, "spin_contamination": contamination}

    def _field(self, mole: Any, vector: Array) -> Any:
        """The mean-field object, not yet run; of the class itself, since `dft.RKS` may turn into an open shell."""
        field = (dft.uks.UKS if mole.spin else dft.rks.RKS)(mole, xc=self.level.functional)
        field.verbose, field.chkfile = 0, None
        field.grids.level = self.level.grid_level
        field.conv_tol, field.max_cycle = self.level.conv_tol, self.scf.max_cycle
        if self.level.density_fit:
            field = field.density_fit(auxbasis=self.level.auxbasis)
        field._numint = CachingNumInt(field._numint)
        return in_electric_field(field, vector)

    def _converge(self, mole: Any, vector: Array) -> tuple[Any, Array, str, int]:
        """Climbs the ladder DIIS, level shift, second order until one of them converges.

        Returns:
            The converged object, F at its density [(2,) n_orbitals, n_orbitals] (Hartree), name of the step, cycles.
        """
        field = self._field(mole, vector)
        last = _LastFock(field)
        field.kernel()
        del field.get_fock
        cycles = int(field.cycles)
        if field.converged:
            return field, last.fock, "diis", cycles
        if self.scf.retries:
            field.level_shift, field.damp = 0.3, 0.3
            field.kernel(dm0=field.make_rdm1())
            cycles += int(field.cycles)
            field.level_shift, field.damp = 0.0, 0.0
            field.kernel(dm0=field.make_rdm1())
            cycles += int(field.cycles)
            if field.converged:
                return field, field.get_fock(dm=field.make_rdm1()), "level_shift", cycles
            second = field.newton()
            second.kernel(dm0=field.make_rdm1())
            cycles += int(getattr(second, "cycles", 0) or 0)
            if second.converged:
                for name in ("converged", "mo_coeff", "mo_occ", "mo_energy", "e_tot"):
                    setattr(field, name, getattr(second, name))
                return field, field.get_fock(dm=field.make_rdm1()), "second_order", cycles
        tried = "DIIS, level shift and second-order SCF" if self.scf.retries else "DIIS"
        raise FailedError(f"not converged: {tried} with {self.scf.max_cycle} cycles each; raise scf.max_cycle")


class _LastFock:
    """Keeps the last F that PySCF builds without DIIS: F at the final density, which the kernel itself throws away."""

    def __init__(self, field: Any) -> None:
        self.fock: Any = None
        build = field.get_fock

        def get_fock(*arguments: Any, **keywords: Any) -> Any:
            self.fock = build(*arguments, **keywords)
            return self.fock

        field.get_fock = get_fock


class CachingNumInt(dft.numint.NumInt):
    """PySCF's integrator, which keeps the orbital values on the grid over the cycles of one SCF."""

    def __init__(self, original: Any) -> None:
        """Takes over the settings of PySCF's own integrator."""
        super().__init__()
        self.__dict__.update(original.__dict__)
        self._kept: dict[tuple[int, int, int], tuple[Any, Array]] = {}
        self._bytes = 0

    def eval_ao(self, mol: Any, coords: Array, deriv: int = 0, *arguments: Any, **keywords: Any) -> Array:
        """Values of the orbitals [n_points, n_orbitals], with derivatives [n_components, n_points, n_orbitals]."""
        key = (coords.ctypes.data, len(coords), deriv)
        if key in self._kept:
            return self._kept[key][1]
        size = 8 * len(coords) * mol.nao * (deriv + 1) * (deriv + 2) * (deriv + 3) // 6
        if self._bytes + size > CACHED_ORBITALS:
            return dft.numint.eval_ao(mol, coords, deriv, *arguments, **keywords)
        keywords["out"] = None
        values = dft.numint.eval_ao(mol, coords, deriv, *arguments, **keywords)
        self._kept[key] = (coords, values)  # holding the points keeps their address from being used again
        self._bytes += size
        return values


def functional_definition(name: str) -> str:
    """What libxc evaluates for a name of PySCF, such as ``1 × 402, VWN-RPA`` for ``b3lyp``.

    The meaning of a name can depend on PySCF's version and settings (B3LYP_WITH_VWN5); the numbers of libxc do not.

    Raises:
        HampredError: libxc does not know the functional, or it asks for a dispersion correction.
    """
    if not re.fullmatch(r"[A-Za-z0-9_+\-*,. ]{1,80}", name):
        raise HampredError(f"{name!r} is not the name of a functional: write one such as pbe or b3lyp.")
    if re.search(r"-d[34]", name.lower()):
        raise HampredError(f"{name}: a dispersion correction does not change the Hamiltonian; leave -d3 or -d4 out.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            (exchange, _, omega), parts = dft.libxc.parse_xc(name)
            if dft.libxc.is_hybrid_xc(name):
                omega, _, exchange = dft.libxc.rsh_coeff(name)[0], None, dft.libxc.hybrid_coeff(name)
    except (KeyError, ValueError, IndexError, NotImplementedError) as error:
        raise HampredError(f"libxc does not know the functional {name!r}: write one such as pbe or b3lyp.") from error
    if not np.isfinite([exchange, *(factor for _, factor in parts)]).all():
        raise HampredError(f"{name!r} has a factor that is not finite: correct it.")
    if not parts and not exchange:
        raise HampredError(f"{name!r} contains no exchange and no correlation: write one such as pbe or b3lyp.")
    told = [f"{float(factor):g} × libxc {int(number)}" for number, factor in parts]
    if exchange:
        told.append(f"exact exchange {float(exchange):g}" + (f" at ω {float(omega):g}" if omega else ""))
    variants = sorted({VWN[int(number)] for number, _ in parts if int(number) in VWN})
    return ", ".join(told + variants)
