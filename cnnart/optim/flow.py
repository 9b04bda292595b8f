"""Optical flow between the frames of a clip, and what it is good for: moving pictures along it,
knowing where to trust it, finding cuts, and measuring flicker.

A flow is in pixels, x before y: where a pixel of one frame was (or will be) in another, relative to
where it is. It is computed of small gray frames by OpenCV's DIS (Kroeger et al. 2016), which needs
no weights and a few milliseconds; arrays ``hxwx2`` there, tensors ``1x2xHxW`` at a frame's size.
OpenCV runs on one thread: DIS finds another flow on two, and the frames of a clip would depend on
the machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import CnnartError

FLOW_SIDE = 320  # pixels: the long side of the frames that flow is computed of

# Where the flow there and back do not meet, or the frames differ along it, it is not to be trusted.
# The first two are Sundaram et al.'s (2010), as in Ruder et al. (2016); pixels of reduced frames.
RELATIVE, ABSOLUTE = 0.01, 0.5
RESIDUAL = 0.08  # of the range of luma: where trust in a flow between like colors has sunk by half

SOFTER = 1.0  # pixels: of noise and hard edges, which mislead the flow by up to half a pixel

SMALLEST = 16  # pixels: in a smaller frame there are no patches to compare
CUT = 0.2  # of the frame: less than this found again in the one before is another scene

LUMA = (0.299, 0.587, 0.114)


class Search(NamedTuple):
    """How flow is searched: how often the frame is halved at the finest scale, pixels from patch to
    patch there, and steps that each patch takes.
    """

    finest: int
    stride: int
    steps: int


# The flow that only says where the other is to be trusted is searched one scale coarser, for less
# than half of the time: with larger strides trust ends far from what moves, with fewer steps it
# would lose what moves fast.
FINE, ROUGH = Search(1, 6, 5), Search(2, 3, 8)


@dataclass(frozen=True)
class Motion:
    """From a frame back to the one before, as it is found of the two, small.

    ``small``: the frame as ``reduced``. ``flow``: ``hxwx2``, where each of its pixels was.
    ``trust``: ``hxw`` in [0, 1]: 0 where it was hidden, out of the picture, or something else.
    ``cut``: whether the frame begins another scene, so that neither means anything.
    """

    small: np.ndarray
    flow: np.ndarray
    trust: np.ndarray
    cut: bool

    def at(self, size: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
        """Flow (``1x2xHxW``) and trust (``1x1xHxW``) at a size (height, width), on ``device``.

        Trust is softer than the flow: a hard edge between what is kept and what is painted anew
        would show.
        """
        cv2 = opencv()
        height, width = self.flow.shape[:2]
        scale = np.array([size[1] / width, size[0] / height], np.float32)
        if device.type == "cpu":
            grown = cv2.resize(self.flow * scale, size[::-1], interpolation=cv2.INTER_LINEAR)
            trust = cv2.resize(self.trust, size[::-1], interpolation=cv2.INTER_LINEAR)
            return as_tensor(grown), as_tensor(trust)
        flow, trust = (as_tensor(a).to(device) for a in (self.flow * scale, self.trust))
        return enlarged(flow, size), enlarged(trust, size)


class MotionFinder:
    """The motion of each frame of a clip since the one before. ``last``: that one, ``reduced``."""

    def __init__(self, last: np.ndarray | None = None) -> None:
        self._last = last

    def __call__(self, pixels: np.ndarray) -> Motion:
        """``HxWx3`` uint8; the first frame begins a scene. Raises CnnartError without OpenCV."""
        small = reduced(pixels)
        found = first_of(small) if self._last is None else motion(self._last, small)
        self._last = small
        return found


def opencv() -> Any:
    """OpenCV, on one thread. Raises CnnartError where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise CnnartError(
            "Holding a clip steady needs OpenCV: pip install 'cnnart[video]', or use `stability` 0."
        ) from error
    cv2.setNumThreads(1)
    return cv2


def reduced(pixels: np.ndarray, side: int = FLOW_SIDE) -> np.ndarray:
    """What flow is computed of: luma (``hxw`` uint8) of ``HxWx3`` uint8, its long side at most
    ``side``; of no frame larger than that.
    """
    cv2 = opencv()
    luma = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    height, width = luma.shape
    if (factor := side / max(height, width)) < 1:
        size = max(1, round(width * factor)), max(1, round(height * factor))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(luma, (0, 0), SOFTER))


def first_of(small: np.ndarray) -> Motion:
    """Of a frame, ``reduced``, that begins a clip."""
    flow = np.zeros((*small.shape, 2), np.float32)
    return Motion(small, flow, np.zeros(small.shape, np.float32), cut=True)


def motion(before: np.ndarray, now: np.ndarray) -> Motion:
    """The motion between two frames given ``reduced``. Raises CnnartError without OpenCV."""
    back, there = optical_flow(now, before), optical_flow(before, now, ROUGH)
    trusted = trust(back, there)
    unlike = remapped(before.astype(np.float32), back) - now
    unlike *= 1 / (255 * RESIDUAL)
    np.square(unlike, out=unlike)
    np.square(unlike, out=unlike)
    unlike += 1
    trusted /= unlike
    return Motion(now, back, trusted, cut=float(trusted.mean()) < CUT)


def optical_flow(first: np.ndarray, second: np.ndarray, search: Search = FINE) -> np.ndarray:
    """Where each pixel of ``first`` is in ``second``: ``hxwx2``, for ``hxw`` uint8 each.

    ``search``: ``FINE`` or ``ROUGH``.
    """
    height, width = first.shape
    if min(height, width) < SMALLEST:
        return np.zeros((height, width, 2), np.float32)
    return np.asarray(dense_inverse_search(search).calc(first, second, None))


def dense_inverse_search(how: Search) -> Any:
    """OpenCV's, between its presets ``FAST`` and ``MEDIUM``, with fewer and shorter searches and
    more refinement, which serves what is soft: there, errors of the flow are what flickers. Raises
    CnnartError.
    """
    cv2 = opencv()
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(how.finest)
    search.setPatchStride(how.stride)
    search.setGradientDescentIterations(how.steps)
    search.setVariationalRefinementIterations(6)
    return search


def trust(back: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Where to trust ``back``: ``hxw`` in [0, 1], 1 where the flow ``there`` leads to where it came
    from, falling to 0 at twice the distance that Sundaram et al. (2010) allow.
    """
    cv2 = opencv()
    height, width = back.shape[:2]
    places = cv2.add(back, pixel_places(height, width))
    returned = sampled(there, places)
    lengths = _squares(back) + _squares(returned)
    apart = _squares(cv2.add(back, returned))
    trusted = np.clip(2 - apart / (RELATIVE * lengths + ABSOLUTE), 0, 1)
    within = cv2.inRange(places, (0, 0), (width - 1, height - 1))
    return np.asarray(cv2.copyTo(trusted, within))


def _squares(flow: np.ndarray) -> np.ndarray:
    """``hxwx2`` -> the square of each length."""
    across, down = opencv().split(flow)
    return np.asarray(across * across + down * down)


def remapped(
    pixels: np.ndarray, flow: np.ndarray, *, cubic: bool = False, rows: slice = slice(None)
) -> np.ndarray:
    """``warp`` by OpenCV, for ``HxW`` or ``HxWxC`` float32: in half its time, between pixels to a
    thirty-second of one. ``rows``: of the result, those wanted.
    """
    places = opencv().add(flow[rows], pixel_places(*flow.shape[:2])[rows])
    return sampled(pixels, places, cubic=cubic)


def sampled(pixels: np.ndarray, places: np.ndarray, *, cubic: bool = False) -> np.ndarray:
    """What lies at ``places`` (``hxwx2``: columns before rows) of ``HxW`` or ``HxWxC`` float32."""
    cv2 = opencv()
    way = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return np.asarray(cv2.remap(pixels, places, None, way, borderMode=cv2.BORDER_REPLICATE))


@lru_cache(maxsize=4)
def pixel_places(height: int, width: int) -> np.ndarray:
    places = np.empty((height, width, 2), np.float32)
    places[..., 0], places[..., 1] = np.arange(width), np.arange(height)[:, None]
    return places


# Tensors


def as_tensor(array: np.ndarray) -> Tensor:
    """``HxW`` or ``HxWxC`` -> ``1xCxHxW`` of the same memory."""
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)[None]


def as_array(tensor: Tensor) -> np.ndarray:
    """``1xCxHxW`` on the CPU -> ``HxWxC``, contiguous; of the same memory where it lies so."""
    return np.asarray(tensor[0].permute(1, 2, 0).contiguous().numpy())


def luma_of(picture: Tensor) -> Tensor:
    """``1x3xHxW`` -> ``1x1xHxW``."""
    red, green, blue = LUMA
    return (
        (picture[:, :1] * red).add_(picture[:, 1:2], alpha=green).add_(picture[:, 2:], alpha=blue)
    )


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


def warping_error(now: Tensor, moved: Tensor, trusted: Tensor) -> float:
    """The root mean square difference of a frame and the one before, moved to meet it (``1x3xHxW``
    each), by ``trusted`` (``1x1xHxW``); Lai et al. (2018) give its square. NaN where nothing is
    trusted.
    """
    apart = (now - moved).square_()
    apart = apart[:, :1] + apart[:, 1:2] + apart[:, 2:]  # quicker than a sum of three
    total = trusted.sum() * now.shape[1]
    return float((apart.mul_(trusted).sum() / total).sqrt())
