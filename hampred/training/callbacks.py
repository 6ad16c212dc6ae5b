"""What watches a run: averaged weights, atomic checkpoints, progress."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins import TorchCheckpointIO
from pytorch_lightning.callbacks import Callback, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from hampred.data.store import replacing

Report = Callable[[str, int, int, float | None, str], None]
"""Takes what is being done, items finished, items in all, items a second, and a text with the last errors."""


def silent(label: str, done: int, total: int, rate: float | None = None, more: str = "") -> None:
    """A `Report` that shows nothing."""


class Ema(WeightAveraging):
    """Exponential moving average of the weights: validated, kept as the best model, and stored in checkpoints."""

    def __init__(self, decay: float) -> None:
        """Takes the decay of one step."""
        super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that replace the old ones only when they are complete and on the disk."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Writes beside the final path, then renames."""
        with replacing(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Reads numbers and plain types only, whatever is asked."""
        return torch.load(path, map_location=map_location or "cpu", weights_only=True)


class Progress(Callback):
    """Reports steps, rate and the last validation errors."""

    def __init__(self, report: Report, n_steps: int) -> None:
        """Takes where to report to and the steps of the whole run."""
        self.report, self.n_steps = report, n_steps
        self._start, self._first_step = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._start, self._first_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Reports a step."""
        if not trainer.is_global_zero:
            return
        rate = (trainer.global_step - self._first_step) / max(time.monotonic() - self._start, 1e-9)
        error = trainer.callback_metrics.get("val_H_mae_uEh")
        more = "" if error is None else f"validation H MAE {float(error):.1f} µE_h"
        self.report("training", trainer.global_step, self.n_steps, rate, more)
