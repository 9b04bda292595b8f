"""The frames of a flight into a dream: each the dream of the one before, a little nearer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
from PIL import Image
from torch import Tensor

from cnnart.image.parts import Parts
from cnnart.image.write import to_pil
from cnnart.methods.dream.config import FlightConfig
from cnnart.methods.dream.transforms import zoom_picture
from cnnart.optim.color import color_gaussian, recolor
from cnnart.optim.steps import PyramidLevel, Step, Synthesis

S = TypeVar("S", bound=Synthesis)


@dataclass(frozen=True)
class FrameMaker(Generic[S]):
    """How frames are made: ``first()`` the first, ``following(picture, number)`` each further one.

    ``following`` gets the frame before, moved on (``1x3xHxW``), and the number of the one to make.
    Nothing else may decide what it makes, or an interrupted flight would not go on as it began.
    What they return must not have a time limit of its own: the flight has one.
    """

    first: Callable[[], S]
    following: Callable[[Tensor, int], S]


class FlightFrames(Generic[S]):
    """All frames of a flight, one after the other; those that ``parts`` holds are not made again.

    Each frame is rounded to 8 bits before the next is made from it, so an interrupted flight goes
    on exactly as it would have. A loop needs a few frames more, into which its end fades.

    ``size`` (height, width) and ``memory`` are those of the ``first`` frame.

    Args:
        seconds: stop making frames after so many; None: when all are made.
    """

    def __init__(
        self, maker: FrameMaker[S], flight: FlightConfig, parts: Parts, seconds: float | None = None
    ) -> None:
        self.flight = flight
        self.parts = parts
        self.warnings: list[str] = list(parts.warnings)
        self.count = flight.frames + fade_frames(flight)
        self._maker = maker
        self._seconds = seconds
        self.first = self._current = maker.first()
        self.memory = self.first.memory
        last = self.first.schedule[-1]
        self.size = (last.height, last.width)
        more, following = self.count - 1, []
        if more:
            following = maker.following(torch.zeros(1, 3, *self.size), 1).schedule
        self.schedule = [*self.first.schedule, *(following * more)]
        self._steps = [iterations(self.first.schedule)] + [iterations(following)] * more

    @property
    def features(self) -> Any:
        """The network that the frame in the making runs on."""
        return self._current.features

    @property
    def done(self) -> int:
        """How many frames there are, counted from the first to where one is missing."""
        return next((k for k in range(self.count) if not self.parts.has(k)), self.count)

    @property
    def whole(self) -> bool:
        """Whether all frames are there."""
        return self.done == self.count

    def steps(self) -> Iterator[Step]:
        """Make what is missing; ``index`` and ``steps`` count over all frames, found ones too."""
        begun = time.perf_counter()
        number = self.done
        picture = self.parts.read(number - 1) if number else None
        total = sum(self._steps)
        if picture is not None and number == self.count:  # only the animation is to be written
            yield Step(total, total, {}, picture, self.size, 0.0)
        while number < self.count:
            self._current = frame = self._begin(number, picture)
            before = sum(self._steps[:number])
            for step in frame.steps():
                self.warnings += [w for w in frame.warnings if w not in self.warnings]
                image, index = step.image, min(before + step.index, total)
                seconds = time.perf_counter() - begun
                yield replace(step, index=index, steps=total, seconds=seconds, state=None)
            self.parts.write(number, frame.finish(image))
            picture = self.parts.read(number)
            number += 1
            if self._seconds is not None and time.perf_counter() - begun > self._seconds:
                return

    def _begin(self, number: int, before: Tensor | None) -> S:
        if before is None:
            return self.first
        moved = zoom_picture(before, self.flight.zoom, self.flight.rotate)
        # Each dream adds contrast: without this, all colors are black and neon after some frames.
        return self._maker.following(self._in_palette(moved), number)

    def _in_palette(self, picture: Tensor) -> Tensor:
        """A picture with the first frame's colors."""
        palette = color_gaussian(self.parts.read(0))
        return recolor(picture, color_gaussian(picture), palette)

    def finish(self, image: Tensor) -> Tensor:
        """A Step's picture as its frame will be."""
        return self._current.finish(image)

    def images(self) -> Iterator[Image.Image]:
        """The animation, as far as there are frames; a loop that is whole comes without a seam."""
        fade = fade_frames(self.flight) if self.whole else 0
        for k in range(min(self.done, self.flight.frames)):
            frame = self.parts.read(k)
            if k < fade:
                # The old flight goes on while the new one, which began here, fades in.
                before = self.parts.read(self.flight.frames + k)
                # A mixture of two pictures has less contrast than either.
                frame = self._in_palette(torch.lerp(before, frame, (k + 1) / (fade + 1)))
            yield to_pil(frame)


def iterations(schedule: Sequence[PyramidLevel]) -> int:
    """How many steps a frame takes."""
    return sum(scale.iterations for scale in schedule)


def fade_frames(flight: FlightConfig) -> int:
    """How many frames the end of a loop fades over: a second's, at most half of all."""
    return min(round(flight.fps), flight.frames // 2) if flight.loop else 0
