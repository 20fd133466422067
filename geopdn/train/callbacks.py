"""Thin pieces between Lightning and geopdn: the loader of each epoch, the curve after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningDataModule
from torch.utils.data import DataLoader

from geopdn.config import TrainingConfig
from geopdn.train.curve import draw_curve
from geopdn.train.stream import EpochSamples, Samples


class EpochStream(LightningDataModule):  # type: ignore[misc]
    """A loader an epoch; epoch e starts at sample `e * checkpoint_every * batch`, also after a resume.

    Args:
        scenes: make the samples.
        training: names batches and epochs.
        collate: makes a batch of some samples.
    """

    def __init__(self, scenes: Samples, training: TrainingConfig, *, collate: Callable[[list[Any]], Any]) -> None:
        super().__init__()
        self.scenes, self.training, self.collate = scenes, training, collate

    def train_dataloader(self) -> DataLoader[Any]:
        """The samples of the current epoch, in order."""
        per_epoch = self.training.checkpoint_every * self.training.batch
        epoch = self.trainer.current_epoch if self.trainer else 0
        samples = EpochSamples(self.scenes, start=epoch * per_epoch, length=per_epoch)
        return DataLoader(samples, batch_size=self.training.batch, collate_fn=self.collate)


class CurvePicture(Callback):  # type: ignore[misc]
    """Draws the training curve after each epoch, over all runs of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Called by Lightning."""
        del pl_module
        trainer.logger.save()
        metrics = sorted(self.folder.glob("metrics*.csv"))
        if metrics:
            draw_curve(metrics, self.folder / "curve.png")
