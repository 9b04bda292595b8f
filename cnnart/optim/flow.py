"""Optical flow between the frames of a clip, and what it is good for: moving pictures along it,
knowing where to trust it, finding cuts, and measuring flicker.

Tensors only. A flow is ``1x2xHxW`` in pixels, x before y: where a pixel of one frame was (or will
be) in another, relative to where it is. The flow itself is OpenCV's DIS (Kroeger et al. 2016),
which needs no weights and a few milliseconds; the rest is torch, on any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import CnnartError
from cnnart.image.picture import resize

FLOW_SIDE = 320  # pixels: the long side of the frames that flow is computed of

# Where the flow there and back do not meet, or the frames differ along it, it is not to be trusted.
# The first two are Sundaram et al.'s (2010), as in Ruder et al. (2016); pixels of reduced frames.
RELATIVE, ABSOLUTE = 0.01, 0.5
RESIDUAL = 0.08  # of the range of luma: where trust in a flow between like colors has sunk by half

SMALLEST = 16  # pixels: in a smaller frame there are no patches to compare
CUT = 0.2  # of the frame: less than this found again in the one before is another scene

LUMA = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Motion:
    """From a frame back to the one before.

    ``flow``: ``1x2xHxW`` at the frame's size: where each pixel was. ``trust``: ``1x1xHxW`` in
    [0, 1]: 0 where it was hidden, out of the picture, or something else. ``cut``: whether the frame
    begins another scene, so that neither means anything.
    """

    flow: Tensor
    trust: Tensor
    cut: bool


def reduced(frame: Tensor, side: int = FLOW_SIDE) -> Tensor:
    """What flow is computed of: luma (``1x1xhxw``, uint8, on the CPU) of ``1x3xHxW`` in [0, 1], its
    long side at most ``side``; of no frame larger than that.
    """
    luma = luma_of(frame)
    height, width = frame.shape[-2:]
    factor = side / max(height, width)
    if factor < 1:
        size = max(1, round(height * factor)), max(1, round(width * factor))
        # A whole step first, which is quick; then the little that is left.
        if (step := math.floor(1 / factor)) > 1:
            luma = F.avg_pool2d(luma, step, ceil_mode=True, count_include_pad=False)
        if luma.shape[-2:] != size:
            luma = resize(luma, *size)
    return (luma * 255).round_().clamp_(0, 255).byte().cpu()


def luma_of(picture: Tensor) -> Tensor:
    """``1x3xHxW`` -> ``1x1xHxW``."""
    red, green, blue = LUMA
    return (
        (picture[:, :1] * red).add_(picture[:, 1:2], alpha=green).add_(picture[:, 2:], alpha=blue)
    )


def motion(before: Tensor, now: Tensor, size: tuple[int, int], device: torch.device) -> Motion:
    """The motion between two frames given ``reduced``, at ``size`` (height, width), on ``device``.

    Raises CnnartError where OpenCV is not installed.
    """
    back, there = optical_flow(now, before), optical_flow(before, now)
    trusted = trust(back, there)
    first, second = before.float() / 255, now.float() / 255
    unlike = (warp(first, back) - second) / RESIDUAL
    trusted = trusted / (1 + unlike.square().square())
    cut = float(trusted.mean()) < CUT
    small = back.shape[-2:]
    scale = torch.tensor([size[1] / small[1], size[0] / small[0]], device=device)[:, None, None]
    flow = enlarged(back.to(device), size) * scale
    # Softer than the flow: a hard edge between what is kept and what is painted anew would show.
    return Motion(flow, enlarged(trusted.to(device), size), cut)


def optical_flow(first: Tensor, second: Tensor) -> Tensor:
    """Where each pixel of ``first`` is in ``second``: ``1x2xHxW``, for ``1x1xHxW`` uint8 each."""
    height, width = first.shape[-2:]
    if min(height, width) < SMALLEST:
        return torch.zeros(1, 2, height, width)
    found = dense_inverse_search().calc(first[0, 0].numpy(), second[0, 0].numpy(), None)
    return torch.from_numpy(found).permute(2, 0, 1)[None]


def dense_inverse_search() -> Any:
    """OpenCV's, between its presets ``FAST`` and ``MEDIUM``: as exact as the latter (0.14 pixels on
    camera moves, the former 0.25), at less than half its time. Raises CnnartError.
    """
    try:
        import cv2
    except ImportError as error:
        raise CnnartError(
            "Holding a clip steady needs OpenCV: pip install 'cnnart[video]', or use `stability` 0."
        ) from error
    cv2.setNumThreads(torch.get_num_threads())
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(1)
    search.setPatchStride(5)
    search.setGradientDescentIterations(8)
    search.setVariationalRefinementIterations(3)
    return search


def enlarged(values: Tensor, size: tuple[int, int]) -> Tensor:
    """``1xCxhxw`` at another size."""
    if values.shape[-2:] == size:
        return values
    return F.interpolate(values, size, mode="bilinear", align_corners=False)


def warp(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """``image`` (``1xCxHxW``) moved: each pixel is what lies where the flow (``1x2xHxW``) points,
    beyond the border its continuation.

    ``mode``: between pixels; ``bicubic`` is sharper, for four times the work.
    """
    height, width = image.shape[-2:]
    device = image.device
    xs = torch.arange(width, dtype=torch.float32, device=device)
    ys = torch.arange(height, dtype=torch.float32, device=device)[:, None]
    # In grid_sample's units: -1 and 1 are the outer edges of the outer pixels.
    grid = torch.empty(1, height, width, 2, device=device)
    grid[0, ..., 0] = (flow[0, 0] + xs) * (2 / width) + (1 / width - 1)
    grid[0, ..., 1] = (flow[0, 1] + ys) * (2 / height) + (1 / height - 1)
    return F.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=False)


def inside(flow: Tensor) -> Tensor:
    """``1x1xHxW``: whether the flow of each pixel points into the picture."""
    height, width = flow.shape[-2:]
    xs = torch.arange(width, device=flow.device) + flow[:, :1]
    ys = torch.arange(height, device=flow.device)[:, None] + flow[:, 1:]
    return (xs >= 0) & (xs <= width - 1) & (ys >= 0) & (ys <= height - 1)


def trust(back: Tensor, there: Tensor) -> Tensor:
    """Where to trust ``back``: ``1x1xHxW`` in [0, 1], 1 where the flow ``there`` leads to where it
    came from, falling to 0 at twice the distance that Sundaram et al. (2010) allow.
    """
    returned = warp(there, back)
    apart = (back + returned).square().sum(1, keepdim=True)
    lengths = (back.square() + returned.square()).sum(1, keepdim=True)
    allowed = RELATIVE * lengths + ABSOLUTE
    return (2 - apart / allowed).clamp_(0, 1) * inside(back)


def warping_error(now: Tensor, moved: Tensor, trusted: Tensor) -> float:
    """The root mean square difference of a frame and the one before, moved to meet it (``1x3xHxW``
    each), by ``trusted`` (``1x1xHxW``); Lai et al. (2018) give its square. NaN where nothing is
    trusted.
    """
    total = trusted.sum() * now.shape[1]
    return float((((now - moved).square() * trusted).sum() / total).sqrt())
