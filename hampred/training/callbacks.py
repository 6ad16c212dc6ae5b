"""What watches a run: averaged weights, atomic checkpoints, the log, progress."""

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, Checkpoint, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hampred.errors import HampredError
from hampred.files import replacing

Report = Callable[[str, int, int, float | None, str], None]
"""Takes what is being done, items finished, items in all, items a second, and a text with the last errors."""


def silent(label: str, done: int, total: int, rate: float | None = None, more: str = "") -> None:
    """A `Report` that shows nothing."""


AVERAGED_EVERY = 4
"""Steps from one update of the averaged weights to the next, which takes a twentieth of the time of a small step."""


class Ema(WeightAveraging):
    """Exponential moving average of the weights: validated, kept as the best model, and stored in checkpoints."""

    def __init__(self, decay: float) -> None:
        """Takes the decay of one step."""
        super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay**AVERAGED_EVERY))

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """At the first step, and at each `AVERAGED_EVERY`-th from there."""
        return step_idx is not None and step_idx % AVERAGED_EVERY == 0


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the old ones only when they are complete and on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes beside the final path, then renames."""
        content = io.BytesIO()  # of a full disk, torch's own writer tells nothing that could be told to the user
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Reads numbers and plain types only, whatever is asked."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class LastCheckpoint(Checkpoint):
    """Keeps the checkpoint from which a killed run goes on.

    The end of an epoch is saved after its validation, so that a resumed run misses none.
    """

    def __init__(self, path: Path, every_steps: int) -> None:
        """Takes the path of the checkpoint and the steps from one to the next."""
        self.path, self.every_steps = path, every_steps
        self._saved = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Counts from the checkpoint of which the run goes on."""
        self._saved = trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Saves within an epoch."""
        if not trainer.is_last_batch:
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves after the validation."""
        self._save_if_due(trainer)

    def _save_if_due(self, trainer: pl.Trainer) -> None:
        if trainer.global_step // self.every_steps > self._saved // self.every_steps:
            self._saved = trainer.global_step
            trainer.save_checkpoint(self.path)


class MetricsFile(Callback):
    """Keeps a CSV file with one row for each validation, complete after a kill and without doubles after a resume."""

    def __init__(self, path: Path) -> None:
        """Takes the path of the file."""
        self.path = path
        self._losses = torch.zeros(2, dtype=torch.float64)  # sum and number since the last row

    def state_dict(self) -> dict[str, Any]:
        """The losses of a row that is not yet written."""
        return {"losses": self._losses.cpu()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a `state_dict`."""
        self._losses = state_dict["losses"]

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        """Adds the loss of a batch."""
        loss = outputs["loss"].detach().double()
        self._losses = self._losses.to(loss.device) + torch.stack([loss, torch.ones_like(loss)])

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes a row."""
        total, count = self._losses.tolist()
        self._losses = torch.zeros_like(self._losses)
        if not trainer.is_global_zero:
            return
        row = {"step": trainer.global_step, "epoch": trainer.current_epoch, "train_loss": total / max(count, 1)}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row |= {k: float(v) for k, v in sorted(trainer.callback_metrics.items()) if k.startswith("val_")}
        earlier = [old for old in self._rows() if int(old["step"]) < trainer.global_step]
        with replacing(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows([*earlier, row])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finds out whether the rows of an earlier start can be read."""
        self._rows()

    def _rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            return sorted(rows, key=lambda row: int(row["step"]))
        except (csv.Error, KeyError, TypeError, ValueError) as error:
            raise HampredError(f"{self.path} is damaged ({error}): remove it.") from error


class Progress(Callback):
    """Reports steps, rate and the last validation errors."""

    def __init__(self, report: Report) -> None:
        """Takes where to report to."""
        self.report, self.n_steps = report, 0
        self._start, self._first_step = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self.n_steps = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Reports a step."""
        if not trainer.is_global_zero:
            return
        rate = (trainer.global_step - self._first_step) / max(time.monotonic() - self._start, 1e-9)
        error = trainer.callback_metrics.get("val_H_mae_uEh")
        more = "" if error is None else f"validation H MAE {float(error):.1f} µE_h"
        self.report("training", trainer.global_step, self.n_steps, rate, more)
