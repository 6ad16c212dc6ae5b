"""From a configuration to a store of labels: resumable at any moment, whatever single molecules do."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from scipy.spatial.transform import Rotation

from data_gen.backends import backend_of_level
from data_gen.backends.base import Backend
from data_gen.cluster import require_scheduler, run_dask
from data_gen.folder import OutputFolder, to_row
from data_gen.geometries import DECIMALS, geometries, turned
from data_gen.summary import Failure, GenerationSummary, Progress
from data_gen.supervisor import cpu_count, run_local
from data_gen.worker import Answer, Task
from hampred.config import GenerateConfig
from hampred.data.sample import HamiltonianSample, structure_key
from hampred.data.store import Store, write_store
from hampred.errors import FailedError, HampredError
from hampred.files import locked, require_writable
from hampred.interop.structures import read_spin

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Plan:
    """What a configuration asks for.

    Attributes:
        structures: Key → structure, in the order of the configuration, duplicates removed.
        refused: Key → why the guard refuses that structure.
        n_orbitals: Key → number of orbitals of each that it lets through.
        backend: What will label them.
    """

    structures: dict[str, Atoms]
    refused: dict[str, str]
    n_orbitals: dict[str, int]
    backend: Backend

    def cpu_seconds(self) -> float:
        """Rough CPU seconds of all labels."""
        return float(sum(map(self.backend.cpu_seconds, self.n_orbitals.values())))


def generate(
    config: GenerateConfig,
    out: Path,
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Report | None = None,
) -> GenerationSummary:
    """Labels all structures of a configuration; the same call resumes what an earlier one left.

    Args:
        config: Geometries, level of theory and how to run.
        out: Folder of the results; ``labels.h5`` in it is the store.
        workers: Processes on this machine; as many as processors without it.
        scheduler: Address of a Dask scheduler, which is used instead.
        progress: Called whenever something happened.

    Raises:
        HampredError: Bad configuration or geometries; nothing is written then.
        FailedError: Not one structure could be labelled.
        KeyboardInterrupt: Interrupted; everything that was finished is kept.
    """
    if scheduler:
        require_scheduler(scheduler)
    require_writable(out)
    backend, folder = make_backend(config), OutputFolder(out)
    plan = make_plan(config, backend, folder)
    if not plan.n_orbitals:
        raise HampredError(f"No structure can be labelled: {next(iter(plan.refused.values()))}")
    with locked(out):
        folder.save_geometries(_origin(config), list(plan.structures.values()))
        run = _Run(config, folder, backend, plan, workers, scheduler, progress or (lambda _: None))
        return run.complete()


def make_backend(config: GenerateConfig) -> Backend:
    """The backend of a configuration.

    Raises:
        HampredError: Unknown functional or basis set.
    """
    return backend_of_level(config.level, config.scf, config.guard, config.forces)


def make_plan(config: GenerateConfig, backend: Backend, folder: OutputFolder | None = None) -> Plan:
    """Makes or reloads the geometries and lets the guard see each of them.

    Raises:
        HampredError: The geometries cannot be made.
    """
    kept = folder.load_geometries(_origin(config)) if folder else None
    plan = Plan({}, {}, {}, backend)
    for atoms in kept if kept is not None else geometries(config):
        charge = int(atoms.info.get("charge", 0))
        try:
            spin = read_spin(atoms, charge)
        except HampredError:
            spin = 0  # the guard says why it refuses the structure
        key = structure_key(atoms, charge, spin, backend.level)
        if key in plan.structures:
            continue
        plan.structures[key] = atoms
        try:
            plan.n_orbitals[key] = backend.check(atoms, charge)
        except HampredError as error:
            plan.refused[key] = str(error)
    return plan


def _origin(config: GenerateConfig) -> dict[str, Any]:
    """The settings that the geometries depend on; a file is told by its size and time as well."""
    origin: dict[str, Any] = config.model_dump(mode="json", include={"seed", "geometries"})
    for source in origin["geometries"]:
        if source["kind"] == "file" and Path(source["path"]).is_file():
            status = Path(source["path"]).stat()
            source["file"] = [status.st_size, status.st_mtime_ns]
    return origin


@dataclass
class _Run:
    """One run of a plan in a folder."""

    config: GenerateConfig
    folder: OutputFolder
    backend: Backend
    plan: Plan
    workers: int | None
    scheduler: str | None
    report: Report

    def complete(self) -> GenerationSummary:
        """Labels what is missing, measures the noise and packs.

        Raises:
            FailedError: There is no label at all, or labels cannot be written.
        """
        start = time.monotonic()
        done, failures = self._standing()
        n_done, n_failed = len(done), len(failures)
        state = Progress(len(self.plan.structures), n_done, n_done, n_failed, n_failed)
        self.report(state)
        cpu = self._label(done, failures, state)
        if not done:
            first = next(iter(failures.values()))
            raise FailedError(f"Not one of {state.total} structures could be labelled; the first: {first.reason}")
        keys = [key for key in self.plan.structures if key in done]
        self.report(replace(state, message="label noise"))
        noise = self._label_noise(keys) if self.config.label_noise else None
        self.report(replace(state, message="packing"))
        ordered = tuple(failures[key] for key in self.plan.structures if key in failures)
        self._pack(keys, ordered, noise)
        new, seconds = len(done) - state.resumed, time.monotonic() - start
        return GenerationSummary(self.folder.store, state.total, len(keys), new, ordered, noise, seconds, cpu)

    def _label(self, done: set[str], failures: dict[str, Failure], state: Progress) -> float:
        """Runs what is missing, adding to `done` and `failures`.

        Returns:
            CPU seconds of the new labels.
        """
        start, cpu = time.monotonic(), 0.0
        missing = [key for key in self.plan.n_orbitals if key not in done and key not in failures]
        for answer in self._execute([self._task(key, self.folder.shard(key)) for key in missing]):
            key = answer["key"]
            cpu += answer["cpu_s"]
            if answer["kind"] == "storage":
                raise FailedError(f"A label cannot be written ({answer['reason']}): make room and run the same again.")
            if answer["kind"] == "done":
                self.folder.forget(key)
                done.add(key)
            else:
                failures[key] = self._fail(key, answer["kind"], answer["reason"])
            state.done, state.failed, state.seconds = len(done), len(failures), time.monotonic() - start
            self.report(state)
        return cpu

    def _standing(self) -> tuple[set[str], dict[str, Failure]]:
        """Labels and failures that need no more work."""
        done = {key for key in self.plan.n_orbitals if self._finished(self.folder.shard(key))}
        failures = {key: self._fail(key, "refused", reason) for key, reason in self.plan.refused.items()}
        for key in self.plan.n_orbitals:
            failure = None if key in done else self.folder.failure(key)
            if failure is not None and not self.config.retry_failed:
                failures[key] = failure
        return done, failures

    def _finished(self, shard: Path) -> bool:
        """Whether a shard is there, intact, and with forces where they are asked for."""
        if not shard.is_file():
            return False
        try:
            with Store(shard) as store:
                return not store.damaged() and (not self.config.forces or store[0].forces is not None)
        except HampredError:
            return False

    def _fail(self, key: str, kind: str, reason: str) -> Failure:
        atoms = self.plan.structures[key]
        failure = Failure(key, kind, reason, str(atoms.info.get("molecule", "")), str(atoms.info.get("source", "")))
        self.folder.record(failure, atoms)
        return failure

    def _task(self, key: str, shard: Path, instead: Atoms | None = None) -> Task:
        atoms = self.plan.structures[key] if instead is None else instead
        backend = self.config.model_dump(mode="json", include={"level", "scf", "guard", "forces"})
        return {
            "key": key,
            "shard": str(shard.absolute()),
            **to_row(atoms),
            "charge": int(atoms.info.get("charge", 0)),
            "info": {**atoms.info, "seed": self.config.seed},
            "backend": backend,
        }

    def _execute(self, tasks: Sequence[Task]) -> Iterator[Answer]:
        if not tasks:
            return iter(())
        limits = self.config.task_timeout, self.config.memory_limit
        if self.scheduler:
            return run_dask(tasks, self.scheduler, *limits)
        return run_local(tasks, self.workers or cpu_count(), *limits)

    def _label_noise(self, keys: Sequence[str]) -> float | None:
        """Recomputes one random label turned at random; a crystal also shifted, since its grid turns with the cell.

        Returns:
            Mean absolute difference of F after turning it back, Hartree; None where that calculation failed.
        """
        rng = np.random.default_rng((self.config.seed, 7))
        key = keys[int(rng.integers(len(keys)))]
        rotation = Rotation.random(random_state=rng).as_matrix()
        atoms = turned(self.plan.structures[key], rotation)
        if atoms.pbc.any():
            atoms.positions += np.round(rng.random(3) @ atoms.cell.array, DECIMALS)
        shard = self.folder.noise_shard(key)
        if not shard.is_file():
            answers = list(self._execute([self._task(key, shard, atoms)]))
            if answers[0]["kind"] != "done":
                return None
        (label,), (again,) = _samples([self.folder.shard(key)]), _samples([shard])
        expected = label.hamiltonian.rotated(rotation)
        return expected.error(again.hamiltonian.on_pairs_of(expected))["all"]

    def _pack(self, keys: Sequence[str], failures: Sequence[Failure], noise: float | None) -> None:
        notes = {
            "failures": [failure.to_dict() for failure in failures],
            "label_noise_Eh": noise,
            "config": self.config.model_dump(mode="json"),
            "seed": self.config.seed,
        }
        write_store(self.folder.store, _samples(self.folder.shard(key) for key in keys), notes)


def _samples(shards: Iterable[Path]) -> Iterator[HamiltonianSample]:
    for shard in shards:
        with Store(shard) as store:
            yield store[0]
