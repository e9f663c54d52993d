"""Between arrays and tensors: inputs of networks, and their weights as they are stored."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from smartgrid_pipeline.core.learning.storage import Arrays


def tensors(*arrays: npt.NDArray[np.generic]) -> tuple[Tensor, ...]:
    """Arrays as tensors that share their memory, copied only where they are not writable or contiguous."""
    return tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in arrays)


def round_to_half(network: nn.Module) -> None:
    """Round parameters in place to half precision: the network in memory is then the one that is stored."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())


def to_arrays(network: nn.Module, half: bool = False) -> Arrays:
    """Parameters and buffers by name; with ``half`` the parameters as float16 (see ``round_to_half``)."""
    parameters = {name for name, _ in network.named_parameters()}
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return {name: values.astype(np.float16) if half and name in parameters else values
            for name, values in arrays.items()}  # fmt: skip


def from_arrays(network: nn.Module, arrays: Arrays) -> None:
    """Fill a network in place with what ``to_arrays`` gave, and leave it in evaluation mode.

    Raises RuntimeError when names or shapes differ.
    """
    tensors = {name: torch.from_numpy(values) for name, values in arrays.items()}
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    network.eval()
