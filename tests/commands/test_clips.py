"""Frames painted ahead of those that are held: what is kept, and where a scene begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from cnnart.commands.clip_masks import FrameMasks
from cnnart.commands.clips import SteadyPainter
from cnnart.video.config import ClipConfig
from tests.optim.test_flow import CPU, texture


class Counting:
    """Paints negatives; its state is how many frames of the scene it has painted."""

    def __init__(self) -> None:
        self.count = 0

    def begin(self, frame: Tensor) -> Callable[[], Tensor]:
        self.count += 1
        return lambda: 1 - frame

    def where(self, frame: Tensor) -> Tensor | None:
        return None

    def restart(self) -> None:
        self.count = 0

    def state_dict(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.count = state["count"]


def painter() -> SteadyPainter:
    return SteadyPainter(Counting(), 0.9, FrameMasks([], "clip.mp4", ClipConfig(), (120, 160), 25))


def at_once(make: Callable[[], Tensor]) -> Callable[[], Tensor]:
    return make


def levels(frame: Tensor) -> Any:
    return (frame[0].permute(1, 2, 0) * 255).round().byte().numpy()


def test_the_state_is_that_of_the_frame_last_held_however_far_painting_is_ahead() -> None:
    first, second = texture(0), texture(1)
    frames, made = [first, first, first, second, second], painter()
    look = made.look_ahead()
    ahead = [made.paint_ahead(frame, look(levels(frame)), at_once) for frame in frames]
    assert made.state_dict()["paint"] == {"count": 0}
    counts, pictures, states = [], [], []
    for frame, each in zip(frames, ahead, strict=True):
        pictures.append(made(frame, each))
        states.append(made.state_dict())
        counts.append(states[-1]["paint"]["count"])
    assert counts == [1, 2, 3, 1, 2]  # a cut begins anew
    again = painter()
    again.load_state_dict(states[1], CPU)
    look = again.look_ahead()
    for frame, picture, state in zip(frames[2:], pictures[2:], states[2:], strict=True):
        seen = again.paint_ahead(frame, look(levels(frame)), at_once)
        assert torch.equal(again(frame, seen), picture)
        assert again.state_dict()["paint"] == state["paint"]
