"""What the two halves of an expert share: the next hour from minutes, everything further from analogues.

Each half is its own network with its own stopping point, because the next five minutes reward long training
on the present while days ahead overfit within minutes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smartgrid_pipeline.core.learning.network_losses import power_from_sqrt
from smartgrid_pipeline.core.schema import DataError, Floats


@dataclass(frozen=True)
class RowSplit:
    """Rows of a past: weights are learned from [first, fit_end), stopping is decided on [fit_end, end).

    ``cap`` bounds how many rows are drawn for anything but the batches themselves.
    """

    first: int
    train_end: int
    end: int
    cap: int | None = None

    def last(self, ahead: int) -> int:
        """One past the last origin with targets ``ahead`` rows away. Raises DataError when none is left."""
        last = self.train_end - ahead
        if last - self.first < ahead:
            raise DataError(
                f"Too little to learn from: found {self.train_end - self.first} rows before the later block, "
                f"at least {2 * ahead} are needed."
            )
        return last

    def capped(self, rows: int) -> int:
        """At most this many rows."""
        return min(rows, self.cap or rows)


def tensors(*arrays: npt.NDArray[np.generic]) -> tuple[Tensor, ...]:
    """Arrays as tensors, without a copy where that is safe."""
    return tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in arrays)


def moments(targets_kw: Floats) -> tuple[Tensor, Tensor, Tensor]:
    """Mean root, mean and standard deviation of each lead's target (n, leads), each (leads,).

    Leads without observations get those of all leads together.
    """
    every = targets_kw[np.isfinite(targets_kw)]
    every = every if len(every) > 1 else np.array([0.5, 1.5], np.float32)
    out = []
    for column in targets_kw.T:
        seen = column[np.isfinite(column)]
        seen = seen if len(seen) > 10 else every
        out.append((np.sqrt(np.maximum(seen, 0)).mean(), seen.mean(), max(float(seen.std()), 0.01)))
    root, mean, sd = np.array(out, np.float32).T
    return tensors(root, mean, sd)  # type: ignore[return-value]


def to_kw(outputs: list[Tensor], leads: int) -> tuple[Floats, Floats]:
    """Network outputs (…, 10) of blocks to mean (origins, leads) and quantiles (origins, leads, 9) in kW."""
    if not outputs:
        return np.zeros((0, leads), np.float32), np.zeros((0, leads, 9), np.float32)
    output = torch.cat(outputs)
    return output[..., 9].numpy(), power_from_sqrt(output[..., :9]).numpy()
