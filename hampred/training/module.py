"""HamiltonianModule: how Lightning trains a network."""

import json
import math
import sys
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR, LinearLR, ReduceLROnPlateau

from hampred.config import LossConfig, OptimizerConfig
from hampred.data.dataset import LabelledGraph
from hampred.errors import FailedError
from hampred.model_file import HEADER_KEY, Model
from hampred.training.loss import HamiltonianLoss, orbital_error
from hampred.units import MICRO_HARTREE

MONITOR = "val_loss"


class HamiltonianModule(pl.LightningModule):
    """Network, loss and optimiser; its checkpoints carry the header of the model."""

    def __init__(self, model: Model, loss: LossConfig, optimizer: OptimizerConfig, n_steps: int) -> None:
        """Puts them together.

        Args:
            model: Network and everything that describes it.
            loss: Weights of the loss.
            optimizer: AdamW and its schedule.
            n_steps: Steps of the whole run, over which a cosine falls.
        """
        super().__init__()
        self.net = model.net
        self.loss = HamiltonianLoss(loss.elements, loss.orbitals)
        self.settings, self.n_steps = optimizer, n_steps
        self._header = json.dumps(model.header())
        self._sums: dict[str, Tensor] = {}

    def _predict(self, batch: LabelledGraph) -> tuple[Tensor, Tensor]:
        return self.net.matrix_elements(batch.graph, self.net(batch.graph))

    def on_train_epoch_start(self) -> None:
        """Tells the loader the number of the epoch: Lightning restores its state within an epoch only."""
        batches: Any = self.trainer.train_dataloader
        batches.set_epoch(self.current_epoch)

    def training_step(self, batch: LabelledGraph, batch_index: int) -> Tensor:
        """Loss of a batch, mE_h."""
        loss = self.loss(*self._predict(batch), batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.graph.n_systems)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Empties the sums."""
        self._sums = {}

    def validation_step(self, batch: LabelledGraph, batch_index: int) -> None:
        """Adds the errors of a batch, so that every element (system, for losses) has the same weight."""
        onsite, offsite = self._predict(batch)
        errors = batch.errors(onsite, offsite)
        n = batch.graph.n_systems
        self._add("val_loss", self.loss(onsite, offsite, batch) * n, n)
        self._add("val_orbital_error_uEh", orbital_error(*errors, batch) * n * MICRO_HARTREE, n)
        for name, parts in (("H", errors), ("onsite", errors[:1]), ("offsite", errors[1:])):
            error = torch.cat(parts).abs()
            self._add(f"val_{name}_mae_uEh", error.sum() * MICRO_HARTREE, error.numel())

    def _add(self, name: str, total: Tensor, count: int) -> None:
        new = torch.stack([total.double(), torch.as_tensor(count, dtype=torch.float64, device=total.device)])
        self._sums[name] = self._sums.get(name, torch.zeros_like(new)) + new

    def on_validation_epoch_end(self) -> None:
        """Logs the means over all processes, and lets the plateau rule judge them."""
        means = {}
        for name, sums in self._sums.items():
            total, count = self.all_gather(sums).reshape(-1, 2).sum(0)
            means[name] = (total / count.clamp(min=1)).float()
            self.log(name, means[name], rank_zero_only=False)
        if not all(mean.isfinite() for mean in means.values()):
            raise FailedError("The training diverged: start a new run with a smaller optimizer.learning_rate.")
        schedulers = self.lr_schedulers() or []
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            if isinstance(scheduler, ReduceLROnPlateau):
                scheduler.step(float(means[MONITOR]))

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up, then a cosine, a plateau rule or a constant rate."""
        s = self.settings
        optimizer = torch.optim.AdamW(
            self.net.parameters(), lr=s.learning_rate, betas=(0.9, 0.99), weight_decay=s.weight_decay, fused=True
        )
        if s.schedule != "plateau":
            return [optimizer], [{"scheduler": LambdaLR(optimizer, self._rate), "interval": "step"}]
        # Lightning keeps the state of the rule, but does not step it: it would at epochs without a validation too
        rule = ReduceLROnPlateau(optimizer, factor=0.5, patience=5, min_lr=1e-3 * s.learning_rate, eps=0.0)
        plans = [{"scheduler": rule, "monitor": MONITOR, "interval": "epoch", "frequency": sys.maxsize}]
        if s.warmup_steps:
            warm_up = LinearLR(optimizer, start_factor=1 / s.warmup_steps, total_iters=s.warmup_steps)
            plans.append({"scheduler": warm_up, "interval": "step"})
        return [optimizer], plans

    def _rate(self, step: int) -> float:
        """Learning rate of a step over the largest one."""
        warm = min(1.0, (step + 1) / max(self.settings.warmup_steps, 1))
        if self.settings.schedule == "constant":
            return warm
        return warm * (0.5 + 0.5 * math.cos(math.pi * min(step / self.n_steps, 1.0)) + 1e-3)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Makes the checkpoint describe itself."""
        checkpoint[HEADER_KEY] = self._header
