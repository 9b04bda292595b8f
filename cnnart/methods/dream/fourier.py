"""Pictures as coefficients of a Fourier basis, for gradient ascent from nothing.

Pixels are a bad basis to climb in: the steepest way up is high-frequency noise. Coefficients scaled
by 1/f, in color axes that are uncorrelated in photographs, have about equal variance in natural
pictures, so a step of the same length in each of them is a step towards a natural picture (Olah,
Mordvintsev and Schubert 2017, "Feature Visualization", section "Preconditioning").
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cnnart.errors import UsageError

# The square root of the color covariance of ImageNet's photographs, columns by falling variance
# (lightness, red-blue, green-magenta), as lucid and lucent publish it
# (tensorflow/lucid, optvis/param/color.py).
COLOR_ROOT = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
CONTRAST = 0.25  # of the starting noise against lucid's spectrum: little enough not to saturate
EDGE = 0.005  # how near to black and white a given picture may be: the sigmoid never gets there


class FourierBasis:
    """The basis of all pictures of one size.

    Args:
        height, width: of the pictures in pixels; odd sizes too.
        device: where pictures and coefficients are.
        decay: the power of 1/f by which frequencies are scaled: 1 as in photographs; 0 gives all
            the same weight; more than 1 makes smoother pictures.

    Coefficients are ``B x 3 x H x (W // 2 + 1) x 2``: the real and imaginary parts of half the
    spectrum, float32. Raises UsageError for a picture without pixels.
    """

    def __init__(
        self, height: int, width: int, *, device: torch.device | str = "cpu", decay: float = 1.0
    ) -> None:
        if min(height, width) < 1:
            raise UsageError(f"A picture of {width}x{height} pixels has no spectrum.")
        self.size = (height, width)
        self.device = torch.device(device)
        self.weights = spectrum_weights(height, width, decay).to(self.device) * CONTRAST
        root = torch.tensor(COLOR_ROOT)
        root = root / root.norm(dim=0).max()
        self._to_rgb, self._from_rgb = root.to(self.device), torch.linalg.inv(root).to(self.device)

    def noise(self, seeds: Sequence[int], deviation: float = 0.01) -> Tensor:
        """Random coefficients, a picture for each seed; drawn on the CPU, so alike everywhere."""
        shape = (3, *self.weights.shape, 2)
        drawn = [torch.randn(shape, generator=torch.Generator().manual_seed(s)) for s in seeds]
        return (torch.stack(drawn) * deviation).to(self.device)

    def picture(self, coefficients: Tensor) -> Tensor:
        """``B x 3 x H x W`` in (0, 1), differentiable; all-zero coefficients are mid-gray."""
        spectrum = torch.view_as_complex(coefficients.contiguous()) * self.weights
        planes = torch.fft.irfft2(spectrum, s=self.size, norm="ortho")
        return torch.sigmoid(torch.einsum("rc,bchw->brhw", self._to_rgb, planes))

    def coefficients(self, picture: Tensor) -> Tensor:
        """The coefficients of a picture (``B x 3 x H x W`` in [0, 1]) of this size."""
        if tuple(picture.shape[-2:]) != self.size:
            height, width = picture.shape[-2:]
            raise UsageError(
                f"The picture is {width}x{height}, the basis {self.size[1]}x{self.size[0]}."
            )
        logits = torch.logit(picture.to(self.device, torch.float32), eps=EDGE)
        planes = torch.einsum("cr,brhw->bchw", self._from_rgb, logits)
        spectrum = torch.fft.rfft2(planes, norm="ortho") / self.weights
        return torch.view_as_real(spectrum).contiguous()


def spectrum_weights(height: int, width: int, decay: float = 1.0) -> Tensor:
    """What each coefficient counts for: ``1 / f ** decay``, ``H x (W // 2 + 1)``.

    ``f`` is in cycles per pixel, the constant's taken as one cycle per long side.
    """
    rows = torch.fft.fftfreq(height)[:, None]
    columns = torch.fft.rfftfreq(width)[None]
    frequency = torch.sqrt(rows**2 + columns**2).clamp_min(1 / max(height, width))
    return frequency**-decay
