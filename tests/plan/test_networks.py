"""Networks beyond the exact search: their value, their order, and what finding it takes."""

from __future__ import annotations

import numpy as np
import opt_einsum
import pytest
import torch

import diagrammar as dg
from benchmarks.networks import Network, multiplications, networks, path_multiplications
from diagrammar.runtime.function import Function
from tests.work import counted

CASES = [n for size in (20, 60) for n in networks(size, seed=7)]


def compiled(network: Network) -> Function:
    return dg.parse(network.text)["R"].compile()


def shapes(network: Network) -> dict[str, tuple[int, ...]]:
    return {f"T{n}": shape for n, shape in enumerate(network.shapes)}


@pytest.mark.parametrize("network", CASES, ids=lambda n: f"{n.family}, {len(n.axes)} tensors")
def test_large_networks_have_numpys_value(network: Network) -> None:
    made = compiled(network).specialise(**shapes(network))
    if multiplications(made.program) > 10**6:
        return
    random = np.random.default_rng(0)
    operands = [random.standard_normal(shape) for shape in network.shapes]
    path, _ = opt_einsum.contract_path(network.equation, *operands, optimize="greedy")
    if path_multiplications(network, path) > 10**7:
        return
    expected = opt_einsum.contract(network.equation, *operands, optimize=path)
    found = made(*map(torch.from_numpy, operands)).numpy()
    assert np.abs(found - expected).max() <= 1e-10 * np.abs(expected).max()


@pytest.mark.parametrize("network", CASES, ids=lambda n: f"{n.family}, {len(n.axes)} tensors")
def test_orders_need_fewer_multiplications_than_greedy_ones(network: Network) -> None:
    program = compiled(network).specialise(**shapes(network)).program
    path, _ = opt_einsum.contract_path(
        network.equation, *network.shapes, shapes=True, optimize="greedy"
    )
    assert multiplications(program) <= path_multiplications(network, path)


def test_the_same_network_gets_the_same_program() -> None:
    network = CASES[-1]
    first, second = (compiled(network).specialise(**shapes(network)).source for _ in range(2))
    assert first == second


@pytest.mark.parametrize("network", CASES[-2:], ids=lambda n: n.family)
def test_a_network_of_sixty_tensors_is_planned_with_little_work(network: Network) -> None:
    """benchmarks.networks says how long that takes."""
    function = compiled(network)
    with counted() as work:
        function.specialise(**shapes(network))
    assert work.calls < 1.2e7  # 2.0 and 5.9 million


def test_relations_are_read_where_they_stand_in_a_long_chain() -> None:
    """A convolution in the middle of a chain of 24 matrices."""
    count = 12
    lines = ["pattern P[i, o, k] = conv(padding=1)", "tensor X[b, i]", "tensor W[k, w0]"]
    lines += [f"tensor A{n}[w{n}, w{n + 1}]" for n in range(count)]
    lines += [f"tensor B{n}[{'b' if n == 0 else f'v{n}'}, v{n + 1}]" for n in range(count)]
    factors = ["X[b, i]", "P[i, o, k]", "W[k, w0]"]
    factors += [f"A{n}[w{n}, w{n + 1}]" for n in range(count)]
    factors += [f"B{n}[{'b' if n == 0 else f'v{n}'}, v{n + 1}]" for n in range(count)]
    text = "\n".join([*lines, f"Y[o, w{count}, v{count}] = {' * '.join(factors)}"])
    random = np.random.default_rng(1)
    operands = {"X": random.standard_normal((4, 9)), "W": random.standard_normal((3, 2))}
    for n in range(count):
        operands[f"A{n}"] = random.standard_normal((2, 2))
        operands[f"B{n}"] = random.standard_normal((4 if n == 0 else 2, 2))
    found = dg.parse(text)["Y"].compile()(**{n: torch.from_numpy(x) for n, x in operands.items()})
    right = np.linalg.multi_dot([operands["W"], *(operands[f"A{n}"] for n in range(count))])
    left = np.linalg.multi_dot([operands[f"B{n}"] for n in range(count)])
    padded = np.pad(operands["X"], ((0, 0), (1, 1)))
    unfolded = np.stack([padded[:, k : k + 9] for k in range(3)], -1)
    expected = np.einsum("bok,kw,bv->owv", unfolded, right, left)
    assert np.allclose(found.numpy(), expected, rtol=1e-10)
