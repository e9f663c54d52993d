"""Networks as arrays: what is stored is the network that was rounded, bit for bit."""

import numpy as np
import pytest
import torch
from torch import nn

from smartgrid_pipeline.core.learning import network_arrays


def _network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_rounded_network__is_the_same_after_half_precision_arrays() -> None:
    network, other = _network(0), _network(1)
    network_arrays.round_to_half(network)
    arrays = network_arrays.to_arrays(network, half=True)
    network_arrays.from_arrays(other, arrays)
    inputs = torch.randn(8, 5)
    np.testing.assert_array_equal(other(inputs).detach(), network.eval()(inputs).detach())
    assert {name for name, values in arrays.items() if values.dtype == np.float16} == {
        name for name, _ in network.named_parameters()
    }


def test_arrays_of_another_network__are_refused() -> None:
    arrays = network_arrays.to_arrays(nn.Linear(5, 3))
    with pytest.raises(RuntimeError, match="size mismatch"):
        network_arrays.from_arrays(nn.Linear(5, 4), arrays)
