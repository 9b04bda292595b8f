"""Where styles apply in the frames of a clip, if not in the same place in all of them: a mask that
is a clip itself, and one by name, which is found now and then and moved along the flow in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cnnart.commands.named_masks import named_mask
from cnnart.errors import ImageError
from cnnart.optim.flow import Motion, as_array, as_tensor, remapped
from cnnart.video.config import ClipConfig
from cnnart.video.read import ClipReader, open_source

if TYPE_CHECKING:
    from cnnart.commands.style_args import MaskInput

LOOK_EVERY = 12  # frames: half a second, through which the flow carries a mask well
BELIEVED = 2  # looks in a row that find nothing, after which nothing is there


class FoundMask:
    """A mask by name: looked for in the first frame of each scene and every twelfth after it.

    What is not there selects nothing; in a scene where it was, it takes two looks to believe that.
    Without a flow it is looked for in each frame.
    """

    def __init__(self, mask: MaskInput, clip: str) -> None:
        assert mask.named is not None
        self._named, self._inverse, self._clip = mask.named, mask.inverse, clip
        self._mask: np.ndarray | None = None  # not inverted
        self._age = self._misses = 0
        self.ever = False

    def __call__(self, pixels: np.ndarray, motion: Motion | None) -> np.ndarray:
        if motion is None or motion.cut or self._mask is None:
            kept = np.zeros(pixels.shape[:2], np.uint8)
            self._age, self._misses = 0, BELIEVED
        else:
            flow, _ = motion.at(self._mask.shape, torch.device("cpu"))
            kept = remapped(self._mask, as_array(flow))
            self._age += 1
        self._mask = self._looked(pixels, kept) if self._age % LOOK_EVERY == 0 else kept
        return 255 - self._mask if self._inverse else self._mask

    def _looked(self, pixels: np.ndarray, kept: np.ndarray) -> np.ndarray:
        frame = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 255
        try:
            found = named_mask(frame, self._named, self._clip)
        except ImageError:  # it is not in this frame
            self._misses += 1
            return kept if self._misses < BELIEVED else np.zeros_like(kept)
        self._misses, self.ever = 0, True
        levels = (found.clamp(0, 1) * 255).round().byte()
        return np.ascontiguousarray(levels[0, 0].numpy())

    def state_dict(self) -> dict[str, Any]:
        mask = None if self._mask is None else torch.from_numpy(self._mask)
        return {"mask": mask, "counts": [self._age, self._misses, int(self.ever)]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._mask = None if state["mask"] is None else state["mask"].numpy()
        self._age, self._misses, ever = state["counts"]
        self.ever = bool(ever)


class FilmedMask:
    """A mask that is a clip or numbered pictures: a frame for each frame."""

    def __init__(
        self, mask: MaskInput, config: ClipConfig, size: tuple[int, int], rate: float
    ) -> None:
        assert mask.path is not None
        self._path, self._inverse = mask.path, mask.inverse
        source = open_source(mask.path, rate)
        self._reader = ClipReader(source, config, size)
        self._frames: Iterator[np.ndarray] | None = None
        self._count = 0

    def __call__(self, pixels: np.ndarray, motion: Motion | None) -> np.ndarray:
        if self._frames is None:
            frames = (frame.pixels for frame in self._reader.frames())
            self._frames = islice(frames, self._count, None)
        frame = next(self._frames, None)
        if frame is None:
            raise ImageError(
                f"{self._path}: the mask has {self._count} frames, and the clip has more: give it "
                "one for each."
            )
        self._count += 1
        gray = (frame.astype(np.uint16).sum(-1) // 3).astype(np.uint8)
        return 255 - gray if self._inverse else gray

    def state_dict(self) -> dict[str, Any]:
        return {"count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._count, self._frames = state["count"], None


class FrameMasks:
    """The masks of a clip's styles, frame after frame; None for one that does not move.

    Args:
        masks: of each style.
        clip: its name, for messages.
        size, rate: of its frames.
    """

    def __init__(
        self,
        masks: Sequence[MaskInput | None],
        clip: str,
        config: ClipConfig,
        size: tuple[int, int],
        rate: float,
    ) -> None:
        self._names = [mask.given if mask else "" for mask in masks]
        self._moving: list[FoundMask | FilmedMask | None] = []
        for mask in masks:
            if mask and mask.named:
                self._moving.append(FoundMask(mask, clip))
            elif mask and mask.is_filmed:
                self._moving.append(FilmedMask(mask, config, size, rate))
            else:
                self._moving.append(None)

    def __bool__(self) -> bool:
        return any(each is not None for each in self._moving)

    def __call__(self, pixels: np.ndarray, motion: Motion | None) -> list[np.ndarray | None]:
        return [None if each is None else each(pixels, motion) for each in self._moving]

    def state_dict(self) -> list[dict[str, Any] | None]:
        return [None if each is None else each.state_dict() for each in self._moving]

    def load_state_dict(self, states: Sequence[Mapping[str, Any] | None]) -> None:
        for each, state in zip(self._moving, states, strict=True):
            if each is not None and state is not None:
                each.load_state_dict(state)

    def never_found(self) -> list[str]:
        """The masks by name of which no frame had anything, as they were given."""
        return [
            name
            for name, each in zip(self._names, self._moving, strict=True)
            if isinstance(each, FoundMask) and not each.ever
        ]


def mask_tensor(mask: np.ndarray | None, device: torch.device) -> Tensor | None:
    """``HxW`` uint8 -> ``1x1xHxW`` in [0, 1]."""
    return None if mask is None else as_tensor(mask).to(device).float().div_(255)
