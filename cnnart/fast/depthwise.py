"""Depthwise convolution with a gradient that takes no longer than it must."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def depthwise(x: Tensor, weight: Tensor) -> Tensor:
    """``BxCxHxW`` convolved channel by channel with ``Cx1xkxk``; no padding, a stride of 1."""
    if torch.is_grad_enabled() and x.device.type == "cpu":
        result: Tensor = _Depthwise.apply(x, weight)
        return result
    return F.conv2d(x, weight, groups=len(weight))


class _Depthwise(torch.autograd.Function):
    """On a CPU, torch's own gradient of the weights takes 20 times as long in bfloat16, and is
    dearer than all else in a small network.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        reach = weight.shape[-1] - 1
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = F.conv2d(grad, weight.flip(-2, -1), padding=reach, groups=len(weight))
        if ctx.needs_input_grad[1]:
            # Every channel of every sample is a group: the gradient is the kernel slid over it.
            batch, channels = x.shape[:2]
            planes = x.contiguous().reshape(1, batch * channels, *x.shape[-2:])
            kernels = grad.contiguous().reshape(batch * channels, 1, *grad.shape[-2:])
            found = F.conv2d(planes, kernels, groups=batch * channels)
            to_weight = found.reshape(batch, *weight.shape).float().sum(0).to(weight.dtype)
        return to_x, to_weight
