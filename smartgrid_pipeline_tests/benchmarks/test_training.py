import pytest
import torch

from benchmarks.training.gauge import counting, flops


def one_step(network: torch.nn.Module, rows: int) -> None:
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
    network(torch.ones(rows, 4)).sum().backward()
    optimiser.step()


def test_counting__steps_and_samples_by_class_of_network() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(4, 3))
    with counting() as count:
        one_step(network, 8)
        network.eval()(torch.ones(100, 4))
        one_step(network.train(), 5)
    one_step(network, 7)
    assert count.steps == {"Sequential": 2}
    assert count.samples == 13


def test_flops__are_those_of_the_matrix_products() -> None:
    with flops() as found:
        one_step(torch.nn.Linear(4, 3), 8)
    forward = 2 * 8 * 4 * 3
    assert found["Linear"] == pytest.approx(2 * forward)  # the input asks for no gradient
