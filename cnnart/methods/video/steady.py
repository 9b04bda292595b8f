"""Painted frames held steady: the last result, moved along the optical flow, blended with what is
painted of the frame, where the flow can be trusted (as in Ruder et al. 2016, but in one pass).

Painted alone, every frame's strokes fall anew: a network sees a pixel's shift as another picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.optim.flow import Motion, enlarged, luma_of, motion, reduced, warp, warping_error
from cnnart.optim.objective import Held

LONGEST = 0.98  # of the last result that is kept at stability 1: some is always painted anew

BLOCK = 4  # pixels: what is smaller is a detail
SHARPER = 1.1  # times, at the most, that a frame's details get more contrast, or less
FLAT = 1e-6  # variance of a block without details

LAST = ("frame", "result", "small")  # names in the state
MEASURED = 4  # frames: the warping error is that of one in so many


class Steady:
    """Frames of a clip in their order -> painted frames that hold still.

    A still frame's picture comes out as it is painted, however long it is shown: each result is
    drawn towards what is painted of its own frame, so that no error adds up.

    Args:
        paint: a frame, ``1x3xHxW`` in [0, 1], to its picture of the same shape; the same for the
            same frame.
        stability: 0: frames as they are painted alone; 1: strokes are held longest.
        guided: ``paint`` is given, beside the frame, what it is to be ``Held`` to, or None.

    Raises CnnartError at the second frame where OpenCV is not installed, unless ``stability`` is 0.
    """

    def __init__(
        self, paint: Callable[..., Tensor], stability: float, *, guided: bool = False
    ) -> None:
        self._paint, self.stability, self._guided = paint, stability, guided
        # The last frame, what became of it, and as flow is computed of it.
        self._last: tuple[Tensor, Tensor, Tensor] | None = None
        self._squares = [0.0, 0.0]  # of the warping errors, frame's and result's
        self._frames = self._measured = self.cuts = 0

    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of the clip, ``1x3xHxW`` in [0, 1] -> its picture, of the same shape."""
        if self.stability == 0:
            return self._painted(frame, None)
        small = reduced(frame)
        if (found := self._motion(frame, small)) is None:
            result = self._painted(frame, None)
        else:
            assert self._last is not None
            before, last, _ = self._last
            held = Held(warp(last, found.flow, "bicubic"), found.trust)
            result = self._blended(self._painted(frame, held), held)
            if self._frames % MEASURED == 1:
                self._measure([(frame, before), (result, last)], found)
        self._last = frame, result, small
        self._frames += 1
        return result

    def _motion(self, frame: Tensor, small: Tensor) -> Motion | None:
        """From the frame back to the last one; None where it begins a scene."""
        if self._last is None:
            return None
        found = motion(self._last[2], small, (frame.shape[-2], frame.shape[-1]), frame.device)
        self.cuts += found.cut
        return None if found.cut else found

    def _painted(self, frame: Tensor, held: Held | None) -> Tensor:
        if not self._guided:
            return self._paint(frame)
        if held is not None:
            held = Held(held.picture, held.trust * self.stability)
        return self._paint(frame, held)

    def _blended(self, painted: Tensor, held: Held) -> Tensor:
        """What is painted of a frame, and the last result where that can be trusted."""
        kept = held.picture.lerp(painted, 1 - LONGEST * self.stability)
        return painted.lerp(with_details_of(painted, kept).clamp_(0, 1), held.trust)

    def restart(self) -> None:
        """The next frame begins another scene."""
        self._last = None

    @property
    def warping_error(self) -> tuple[float, float] | None:
        """Of the frames and of the results so far: root mean square difference to the one before,
        moved along the flow, where it is trusted. None where there was nothing to compare.
        """
        if not self._measured:
            return None
        source, result = ((total / self._measured) ** 0.5 for total in self._squares)
        return source, result

    def _measure(self, pairs: list[tuple[Tensor, Tensor]], found: Motion) -> None:
        for i, (now, before) in enumerate(pairs):
            error = warping_error(now, warp(before, found.flow), found.trust)
            self._squares[i] += error**2
        self._measured += 1

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame depends on, on the CPU."""
        state = {
            "squares": torch.tensor(self._squares, dtype=torch.float64),
            "counts": torch.tensor([self._frames, self._measured, self.cuts]),
        }
        if self._last is not None:
            for name, tensor in zip(LAST, self._last, strict=True):
                state[name] = tensor.cpu()
        return state

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from where ``state_dict`` was asked for; frames will come on ``device``."""
        self._squares = state["squares"].tolist()
        self._frames, self._measured, self.cuts = state["counts"].tolist()
        self._last = None
        if LAST[0] in state:
            frame, result, small = (state[name] for name in LAST)
            self._last = frame.to(device), result.to(device), small


def with_details_of(picture: Tensor, held: Tensor) -> Tensor:
    """``held`` with as much contrast of details, wherever it is, as ``picture`` has (``1x3xHxW``
    each), or as near as a tenth more or less comes.

    Moving a picture blurs it a little, and blending it with strokes that fall elsewhere does, too:
    frame after frame, nothing would be left of them.
    """
    luma = luma_of(held)
    mean, variance = block_moments(luma)
    _, wanted = block_moments(luma_of(picture))
    gain = (wanted / variance).sqrt_().clamp_(1 / SHARPER, SHARPER).sub_(1)
    size = (held.shape[-2], held.shape[-1])
    return held + luma.sub_(enlarged(mean, size)).mul_(enlarged(gain, size))


def block_moments(luma: Tensor) -> tuple[Tensor, Tensor]:
    """``1x1xHxW`` -> mean of each block and the variance within it, the latter that of a block and
    its neighbors together.
    """

    def means(values: Tensor, side: int, stride: int, around: int) -> Tensor:
        return F.avg_pool2d(
            values, side, stride, around, ceil_mode=stride > 1, count_include_pad=False
        )

    mean = means(luma, BLOCK, BLOCK, 0)
    variance = means(luma.square(), BLOCK, BLOCK, 0) - mean.square()
    return mean, means(variance, 3, 1, 1).clamp_(min=FLAT)
