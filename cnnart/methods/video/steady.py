"""Painted frames held steady: the last result, moved along the optical flow, blended with what is
painted of the frame, where the flow can be trusted (as in Ruder et al. 2016, but in one pass).

Painted alone, every frame's strokes fall anew: a network sees a pixel's shift as another picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.optim.flow import (
    Motion,
    MotionFinder,
    as_array,
    as_tensor,
    enlarged,
    luma_of,
    opencv,
    remapped,
    warp,
    warping_error,
)
from cnnart.optim.objective import Held

LONGEST = 0.98  # of the last result that is kept at stability 1: some is always painted anew

BLOCK = 4  # pixels: what is smaller is a detail
SHARPER = 1.1  # times, at the most, that a frame's details get more contrast, or less
FLICKER = 2 / 255  # of the mean color: more is a change that is followed at once
FLAT = 1e-6  # variance of a block without details

ROWS = 32  # that are blended at once: what is in between them stays in the processor's cache

LAST = ("frame", "result", "small")  # names in the state
# The warping error is that of one frame in so many, and of one row in so many of that.
MEASURED = 4


class Steady:
    """Frames of a clip in their order -> painted frames that hold still.

    A still frame's picture comes out as it is painted, however long it is shown: each result is
    drawn towards what is painted of its own frame, so that no error adds up.

    Args:
        paint: a frame, ``1x3xHxW`` in [0, 1], to its picture of the same shape; the same for the
            same frame.
        stability: 0: frames as they are painted alone; 1: strokes are held longest.
        guided: ``paint`` is given, beside the frame, what it is to be ``Held`` to, or None.
        blend: False where ``paint`` has mixed in itself what it is held to.

    Raises CnnartError at the second frame where OpenCV is not installed, unless ``stability`` is 0.
    """

    def __init__(
        self,
        paint: Callable[..., Tensor],
        stability: float,
        *,
        guided: bool = False,
        blend: bool = True,
    ) -> None:
        self._paint, self.stability = paint, stability
        self._guided, self._blend = guided, blend
        # The last frame, what became of it, and as flow is computed of it.
        self._last: tuple[Tensor, Tensor, np.ndarray] | None = None
        self._squares = [0.0, 0.0]  # of the warping errors, frame's and result's
        self._frames = self._measured = self.cuts = 0

    def motions(self) -> Callable[[np.ndarray], Motion | None]:
        """What finds the motion of each frame to come (``HxWx3`` uint8), in its order; another
        thread may, ahead of this one.
        """
        if self.stability == 0:
            return lambda pixels: None
        return MotionFinder(self._last and self._last[2])

    def __call__(self, frame: Tensor, motion: Motion | None, where: Tensor | None = None) -> Tensor:
        """The next frame of the clip, ``1x3xHxW`` in [0, 1] -> its picture, of the same shape.

        Args:
            motion: as ``motions`` finds it; None at stability 0.
            where: it is painted at all, ``1x1xHxW`` in [0, 1]: elsewhere it stays as it is.
        """
        if motion is None:
            return self._painted(frame, None)
        if self._last is None or motion.cut:
            if self._last is not None:
                self.cuts += 1
            result = self._painted(frame, None)
        else:
            before, last, _ = self._last
            flow, trust = motion.at((frame.shape[-2], frame.shape[-1]), frame.device)
            held = Held(moved(last, flow, cubic=True), trust if where is None else trust * where)
            result = self._painted(frame, held)
            if self._blend:
                result = blended(result, faded(result, held), LONGEST * self.stability)
            if self._frames % MEASURED == 1:
                self._measure([(frame, before), (result, last)], flow, trust)
        self._last = frame, result, motion.small
        self._frames += 1
        return result

    def _painted(self, frame: Tensor, held: Held | None) -> Tensor:
        if not self._guided:
            return self._paint(frame)
        if held is not None:
            held = Held(held.picture, held.trust * self.stability)
        return self._paint(frame, held)

    @property
    def warping_error(self) -> tuple[float, float] | None:
        """Of the frames and of the results so far: root mean square difference to the one before,
        moved along the flow, where it is trusted. None where there was nothing to compare.
        """
        if not self._measured:
            return None
        source, result = ((total / self._measured) ** 0.5 for total in self._squares)
        return source, result

    def _measure(self, pairs: list[tuple[Tensor, Tensor]], flow: Tensor, trust: Tensor) -> None:
        for i, (now, before) in enumerate(pairs):
            row = slice(None, None, MEASURED)
            there = moved(before, flow, rows=row)
            self._squares[i] += warping_error(now[..., row, :], there, trust[..., row, :]) ** 2
        self._measured += 1

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame depends on, on the CPU."""
        state = {
            "squares": torch.tensor(self._squares, dtype=torch.float64),
            "counts": torch.tensor([self._frames, self._measured, self.cuts]),
        }
        if self._last is not None:
            frame, result, small = self._last
            last = frame.cpu(), result.cpu(), torch.from_numpy(small)
            state.update(zip(LAST, last, strict=True))
        return state

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from where ``state_dict`` was asked for; frames will come on ``device``."""
        self._squares = state["squares"].tolist()
        self._frames, self._measured, self.cuts = state["counts"].tolist()
        self._last = None
        if LAST[0] in state:
            frame, result, small = (state[name] for name in LAST)
            self._last = frame.to(device), result.to(device), small.numpy()


def moved(
    picture: Tensor, flow: Tensor, *, cubic: bool = False, rows: slice = slice(None)
) -> Tensor:
    """``picture`` (``1x3xHxW``) moved along a flow (``1x2xHxW``), by what is quickest there.

    ``cubic``: sharper, for two to four times the work. ``rows``: of the result, those wanted.
    """
    if picture.device.type != "cpu":
        return warp(picture, flow, "bicubic" if cubic else "bilinear")[..., rows, :]
    return as_tensor(remapped(as_array(picture), as_array(flow), cubic=cubic, rows=rows))


def blended(painted: Tensor, held: Held, share: float) -> Tensor:
    """What is painted of a frame (``1x3xHxW``), and where that can be trusted a ``share`` of the
    last result, with as much contrast of details, wherever it is, as is painted, or as near as a
    tenth more or less comes.

    Moving a picture blurs it a little, and blending it with strokes that fall elsewhere does, too:
    frame after frame, nothing would be left of them.
    """
    if painted.device.type == "cpu":
        arrays = as_array(painted), as_array(held.picture), as_array(held.trust)[..., 0]
        return as_tensor(blended_arrays(*arrays, share))
    return blended_tensors(painted, held.picture, held.trust, share)


def faded(painted: Tensor, held: Held) -> Held:
    """What is held, brought nearer to the mean color of what is painted where it is trusted.

    Else a clip that fades to black would be bright for long after. What flickers is less.
    """
    trust, now, before = (
        values[..., ::MEASURED, ::MEASURED] for values in (held.trust, painted, held.picture)
    )
    apart = ((now - before) * trust).sum((-2, -1), keepdim=True)
    apart = F.softshrink(apart / trust.sum().clamp(min=1), FLICKER)
    if apart.device.type == "cpu" and not apart.any():
        return held
    return Held(held.picture + apart, held.trust)


def blended_tensors(painted: Tensor, held: Tensor, trust: Tensor, share: float) -> Tensor:
    """``blended`` on any device."""
    wanted = luma_of(painted)
    luma = luma_of(held).lerp_(wanted, 1 - share)
    mean, variance = block_moments(luma)
    _, other = block_moments(wanted)
    gain = (other / variance).sqrt_().clamp_(1 / SHARPER, SHARPER).sub_(1)
    size = (luma.shape[-2], luma.shape[-1])
    details = luma.sub_(enlarged(mean, size)).mul_(enlarged(gain, size))
    change = (held - painted).mul_(share).add_(details).mul_(trust)
    return change.add_(painted).clamp_(0, 1)


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


def blended_arrays(
    painted: np.ndarray, held: np.ndarray, trust: np.ndarray, share: float
) -> np.ndarray:
    """``blended`` by OpenCV, on the processor in half the time: ``HxWx3``, ``HxWx3`` and ``HxW`` ->
    ``HxWx3``, all float32.
    """
    cv2 = opencv()
    wanted = cv2.cvtColor(painted, cv2.COLOR_RGB2GRAY)
    luma = cv2.cvtColor(held, cv2.COLOR_RGB2GRAY)
    luma = cv2.addWeighted(luma, share, wanted, 1 - share, 0)
    mean, variance = array_moments(luma)
    _, other = array_moments(wanted)
    gain = np.clip(np.sqrt(other / variance), 1 / SHARPER, SHARPER) - 1
    size = luma.shape[::-1]
    details = cv2.subtract(luma, cv2.resize(mean, size, interpolation=cv2.INTER_LINEAR))
    details = cv2.multiply(details, cv2.resize(gain, size, interpolation=cv2.INTER_LINEAR))
    details = cv2.multiply(details, trust)
    kept = cv2.multiply(trust, share)
    result = np.empty_like(painted)
    for top in range(0, len(painted), ROWS):
        rows = slice(top, top + ROWS)
        change = cv2.subtract(held[rows], painted[rows])
        change = cv2.multiply(change, cv2.merge([kept[rows]] * 3))
        change = cv2.add(change, cv2.merge([details[rows]] * 3))
        change = cv2.add(change, painted[rows])
        np.clip(change, 0, 1, out=result[rows])
    return result


def array_moments(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``block_moments`` of ``HxW``."""
    cv2 = opencv()
    height, width = luma.shape
    down, across = -height % BLOCK, -width % BLOCK
    if down or across:
        luma = cv2.copyMakeBorder(luma, 0, down, 0, across, cv2.BORDER_REFLECT)
    size = (width + across) // BLOCK, (height + down) // BLOCK
    mean = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    square = cv2.resize(cv2.multiply(luma, luma), size, interpolation=cv2.INTER_AREA)
    variance = cv2.blur(square - mean * mean, (3, 3), borderType=cv2.BORDER_REFLECT)
    return mean, np.maximum(variance, FLAT)
