"""Painted frames held steady: the last result, moved along the optical flow, blended with what is
painted of the frame, where the flow can be trusted (as in Ruder et al. 2016, but in one pass).

Painted alone, every frame's strokes fall anew: a network sees a pixel's shift as another picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cnnart.optim.flow import motion, reduced, warp

LONGEST = (
    0.95  # of the last result that is kept at stability 1: what is painted always comes through
)


class Steady:
    """Frames of a clip in their order -> painted frames that hold still.

    A still frame's picture comes out as it is painted, however long it is shown: each result is
    drawn towards what is painted of its own frame, so that no error adds up.

    Args:
        paint: a frame, ``1x3xHxW`` in [0, 1], to its picture of the same shape; the same for the
            same frame.
        stability: 0: frames as they are painted alone; 1: strokes are held longest.

    Raises CnnartError at the second frame where OpenCV is not installed, unless ``stability`` is 0.
    """

    def __init__(self, paint: Callable[[Tensor], Tensor], stability: float) -> None:
        self._paint, self.stability = paint, stability
        self._last: Tensor | None = None  # 1x6xHxW: the last result and its frame
        self._small: Tensor | None = None  # the last frame, as flow is computed of it
        self._squares = torch.zeros(2, dtype=torch.float64)
        self._measured = 0
        self.cuts = 0

    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of the clip, ``1x3xHxW`` in [0, 1] -> its picture, of the same shape."""
        result = self._paint(frame)
        if self.stability == 0:
            return result
        small = reduced(frame)
        if self._last is not None and self._small is not None:
            found = motion(self._small, small, (frame.shape[-2], frame.shape[-1]), frame.device)
            if found.cut:
                self.cuts += 1
            else:
                moved = warp(self._last, found.flow)
                result = result.lerp(moved[:, :3], found.trust * (LONGEST * self.stability))
                self._measure(torch.cat((result, frame), 1), moved, found.trust)
        self._last, self._small = torch.cat((result, frame), 1), small
        return result

    def restart(self) -> None:
        """The next frame begins another scene."""
        self._last = self._small = None

    @property
    def warping_error(self) -> tuple[float, float] | None:
        """Of the frames and of the results so far: root mean square difference to the one before,
        moved along the flow, where it is trusted. None where there was nothing to compare.
        """
        if not self._measured:
            return None
        result, source = (self._squares / self._measured).sqrt().tolist()
        return source, result

    def _measure(self, now: Tensor, moved: Tensor, trust: Tensor) -> None:
        squares = ((now - moved).square_() * trust).sum((-2, -1)).view(2, 3).mean(1)
        self._squares += (squares / trust.sum().clamp_min(1)).cpu()
        self._measured += 1

    def state_dict(self) -> dict[str, Tensor]:
        """All that the next frame depends on, on the CPU."""
        state = {
            "squares": self._squares.clone(),
            "counts": torch.tensor([self._measured, self.cuts]),
        }
        if self._last is not None and self._small is not None:
            state |= {"last": self._last.cpu(), "small": self._small}
        return state

    def load_state_dict(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Go on from where ``state_dict`` was asked for; frames will come on ``device``."""
        self._squares = state["squares"].clone()
        self._measured, self.cuts = state["counts"].tolist()
        last, small = state.get("last"), state.get("small")
        self._last, self._small = (None if last is None else last.to(device)), small
