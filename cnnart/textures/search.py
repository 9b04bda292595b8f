"""How well each window of an exemplar fits each of many places: sums of squared differences."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fft import fft, irfft2, rfft, rfft2

from cnnart.textures.choosing import Candidate
from cnnart.textures.sources import Source

FORBIDDEN = 2**50  # the error of a window that must not be copied; real ones stay far below


@dataclass(frozen=True)
class Templates:
    """What the canvas shows at ``B`` places, in whole levels, as float64.

    ``levels``: ``BxCxPxP``; ``counted``: ``BxPxP``, the weight of each pixel, whole (0: not known).
    ``guide``: ``Bx3xPxP`` or None; ``guide_counts``: the whole weight of each of its pixels.
    """

    levels: Tensor
    counted: Tensor
    guide: Tensor | None = None
    guide_counts: int = 0


class WindowSearch:
    """All windows of one exemplar, of one size.

    The sum over a window of w (E - T)^2 is a correlation of the exemplar's E^2 with w, less twice
    one of E with w T, plus a constant: a product of spectra, for all windows at once.
    """

    def __init__(self, source: Source, patch: int) -> None:
        self.patch = patch
        height, width = source.size
        self._valid = (height - patch + 1, width - patch + 1)
        self._padded = (_fast_length(height), _fast_length(width))
        self._spectra = self._spectrum(source.levels)
        self._guide = None if source.guide is None else self._spectrum(source.guide)
        blocked = (~source.usable).float()[None, None]
        self.allowed = F.max_pool2d(blocked, patch, stride=1)[0, 0] == 0

    def _spectrum(self, levels: Tensor) -> Tensor:
        squares = levels.square().sum(0, keepdim=True)
        return rfft2(torch.cat((squares, -2 * levels)), s=self._padded)

    def errors(self, templates: Templates) -> Tensor:
        """``BxMxN`` int64: the error of the window that begins at each row and column."""
        total = self._correlate(templates.levels, templates.counted, self._spectra)
        constant = (templates.counted[:, None] * templates.levels.square()).sum((1, 2, 3))
        if templates.guide is not None and self._guide is not None:
            counts = torch.full_like(templates.counted, float(templates.guide_counts))
            total = total + self._correlate(templates.guide, counts, self._guide)
            constant += (counts[:, None] * templates.guide.square()).sum((1, 2, 3))
        rows, columns = self._valid
        errors = irfft2(total, s=self._padded)[:, :rows, :columns] + constant[:, None, None]
        errors = errors.round().long().clamp_(0)
        return errors.masked_fill_(~self.allowed, FORBIDDEN)

    def any_window(self, source: int, luck: float) -> Candidate:
        """One of the windows that may be copied; ``luck`` in [0, 1) says which."""
        allowed = torch.nonzero(self.allowed)
        row, column = allowed[int(luck * len(allowed))].tolist()
        return Candidate(source, row, column)

    def _correlate(self, levels: Tensor, counted: Tensor, spectra: Tensor) -> Tensor:
        weighted = torch.cat((counted[:, None], counted[:, None] * levels), 1)
        rows = rfft(weighted, n=self._padded[1])  # only the window's rows: the others are zero
        return (fft(rows, n=self._padded[0], dim=-2).conj() * spectra).sum(1)


def _fast_length(length: int) -> int:
    """The next product of 2, 3 and 5: transforms of such lengths are fast."""
    while True:
        rest = length
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return length
        length += 1
