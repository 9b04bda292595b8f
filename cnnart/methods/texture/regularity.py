"""Which method suits an exemplar: how regular its pattern is decides."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fft import irfft2, rfft2

from cnnart.image.picture import fit_long_side, resize
from cnnart.methods.texture.config import TextureConfig

MIN_REGULARITY = 0.4  # from which Gram matrices, which know no places, lose the pattern
MAX_CPU_PIXELS = 2048**2  # above which the network takes more than minutes without a GPU
MEASURED_SIDE = 256  # pixels: long side at which the exemplar is measured
DETREND = 8  # structures longer than this part of the exemplar are light and shade, not pattern


def choose_method(
    exemplar: Tensor, config: TextureConfig, *, companions: bool, guided: bool
) -> tuple[str, str]:
    """``gram`` or ``quilting``, and one phrase why.

    Args:
        exemplar: ``1xCxhxw`` in [0, 1]; its device is where the network would run.
        companions: whether other maps are to be copied as the exemplar is.
        guided: whether a guide map says what goes where.
    """
    if companions:
        return "quilting", "companion maps need a method that copies pixels"
    if guided:
        return "quilting", "patches follow a guide map most closely"
    if min(exemplar.shape[-2:]) < 32:
        return "quilting", "the exemplar is too small for a network"
    found = regularity(exemplar)
    if found >= MIN_REGULARITY:
        return "quilting", f"the pattern repeats (regularity {found:.2f})"
    height, width = config.size if isinstance(config.size, tuple) else (0, 0)
    if exemplar.device.type == "cpu" and height * width > MAX_CPU_PIXELS:
        return "quilting", "a network would take very long for this size without a GPU"
    return "gram", f"no strict pattern to keep (regularity {found:.2f})"


def regularity(exemplar: Tensor) -> float:
    """How well the exemplar fits itself when shifted, at the best shift: 0 not at all, 1 exactly.

    ``exemplar``: ``1xCxhxw`` in any unit; alpha is not looked at. The answer is the height of the
    highest peak of the autocorrelation of its brightness, the one at no shift apart: walls, weaves
    and checks have it, stones and water have not. A shift overlaps by half at least, and light and
    shade across the exemplar are taken out before.
    """
    size = fit_long_side(exemplar.shape[-2], exemplar.shape[-1], MEASURED_SIDE)
    if max(exemplar.shape[-2:]) < MEASURED_SIDE:
        size = (exemplar.shape[-2], exemplar.shape[-1])
    gray = resize(exemplar[:, :3].float(), *size).mean(1, keepdim=True).double()
    span = max(3, min(size) // DETREND * 2 + 1)
    light = F.avg_pool2d(gray, span, 1, span // 2, count_include_pad=False)
    correlation = autocorrelation((gray - light)[0, 0])
    peaks = F.max_pool2d(correlation[None, None], 5, 1, 2)[0, 0] == correlation
    peaks[size[0] // 2, size[1] // 2] = False
    peaks[[0, -1]] = False
    peaks[:, [0, -1]] = False
    return float(correlation[peaks].clamp_min(0).max()) if bool(peaks.any()) else 0.0


def autocorrelation(plane: Tensor) -> Tensor:
    """``HxW`` -> ``HxW`` about: the correlation with itself at shifts up to half of each side.

    No shift is in the middle. At each shift the mean product over the overlap is divided by the
    mean squares there, so that a periodic plane has 1 at every period, whatever the overlap.
    """
    height, width = plane.shape
    whole = (2 * height, 2 * width)
    spectrum = rfft2(plane, s=whole)
    ones, squares = rfft2(torch.ones_like(plane), s=whole), rfft2(plane.square(), s=whole)
    product = irfft2(spectrum * spectrum.conj(), s=whole)
    here, there = (
        irfft2(a * b.conj(), s=whole).clamp_min(0) for a, b in ((squares, ones), (ones, squares))
    )
    energy = (here * there).sqrt()
    ratio = torch.where(energy > 1e-9, product / energy.clamp_min(1e-9), torch.zeros_like(product))
    up, left = height // 2, width // 2
    return ratio.roll((up, left), (0, 1))[: 2 * up + 1, : 2 * left + 1]
