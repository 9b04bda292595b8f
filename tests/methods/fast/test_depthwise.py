"""Depthwise convolution with its own gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cnnart.methods.fast.layers import depthwise


def tensors(side: int, kernel: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(kernel)
    x = torch.randn(2, 3, side, side + 2, generator=rng, dtype=torch.float64)
    weight = torch.randn(3, 1, kernel, kernel, generator=rng, dtype=torch.float64)
    return x.contiguous(memory_format=torch.channels_last), weight


@pytest.mark.parametrize(("side", "kernel"), [(6, 3), (5, 5), (9, 1)])
def test_its_gradient_is_the_one_of_differences(side: int, kernel: int) -> None:
    x, weight = (v.requires_grad_() for v in tensors(side, kernel))
    assert torch.autograd.gradcheck(depthwise, (x, weight))


def test_value_and_gradient_are_torchs_own() -> None:
    found, expected = [], []
    for into, function in (
        (found, depthwise),
        (expected, lambda a, b: F.conv2d(a, b, groups=len(b))),
    ):
        x, weight = (v.requires_grad_() for v in tensors(8, 3))
        result = function(x, weight)
        result.square().sum().backward()
        into += [result, x.grad, weight.grad]
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_what_needs_no_gradient_gets_none() -> None:
    x, weight = tensors(6, 3)
    depthwise(x, weight.requires_grad_()).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
