"""The frames of a flight into a dream: each the dream of the one before, a little nearer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from PIL import Image
from torch import Tensor

from cnnart.config import FlightConfig, check_flight_config
from cnnart.dreaming.zoom import zoom_picture
from cnnart.image.writing import to_pil
from cnnart.jobs.parts import Parts
from cnnart.optimize import Step
from cnnart.palette import colour_gaussian, recolour

if TYPE_CHECKING:
    from cnnart.budget import MemoryPlan
    from cnnart.schedule import Scale


class Work(Protocol):
    """One picture in the making, such as ``cnnart.dreaming.dream.Dream``."""

    notes: list[str]

    @property
    def schedule(self) -> list[Scale]: ...

    @property
    def memory(self) -> MemoryPlan: ...

    def steps(self) -> Iterator[Step]: ...

    def finish(self, image: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Dreamer:
    """How frames are made: ``first()`` the first, ``again(picture, number)`` each further one.

    ``again`` gets the frame before, moved on (``1x3xHxW``), and the number of the one to make.
    Nothing else may decide what it makes, or an interrupted flight would not go on as it began.
    """

    first: Callable[[], Work]
    again: Callable[[Tensor, int], Work]


class Frames:
    """All frames of a flight, one after the other; those that ``parts`` holds are not made again.

    Each frame is rounded to 8 bits before the next is made from it, so an interrupted flight goes
    on exactly as it would have. A loop needs a few frames more, into which its end fades.

    ``first`` is the work on the first frame, from which ``size`` (height, width) and ``memory``
    come.

    Args:
        seconds: stop making frames after so many; None: when all are made.
    """

    def __init__(
        self, dreamer: Dreamer, flight: FlightConfig, parts: Parts, seconds: float | None = None
    ) -> None:
        check_flight_config(flight)
        self.flight = flight
        self.parts = parts
        self.notes: list[str] = list(parts.notes)
        self.count = flight.frames + fade_frames(flight)
        self._dreamer = dreamer
        self._seconds = seconds
        self.first = self._work = dreamer.first()
        self.memory = self.first.memory
        last = self.first.schedule[-1]
        self.size = (last.height, last.width)
        again = dreamer.again(torch.zeros(1, 3, *self.size), 1).schedule if self.count > 1 else []
        self.schedule = [*self.first.schedule, *(again * (self.count - 1))]
        self._steps = [evaluations(self.first.schedule)] + [evaluations(again)] * (self.count - 1)

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
            self._work = work = self._begin(number, picture)
            before = sum(self._steps[:number])
            for step in work.steps():
                self.notes += [note for note in work.notes if note not in self.notes]
                image, index = step.image, min(before + step.index, total)
                seconds = time.perf_counter() - begun
                yield replace(step, index=index, steps=total, seconds=seconds)
            self.parts.write(number, work.finish(image))
            picture = self.parts.read(number)
            number += 1
            if self._seconds is not None and time.perf_counter() - begun > self._seconds:
                return

    def _begin(self, number: int, before: Tensor | None) -> Work:
        if before is None:
            return self.first
        moved = zoom_picture(before, self.flight.zoom, self.flight.rotate)
        # Each dream adds contrast: without this, all colours are black and neon after some frames.
        return self._dreamer.again(self._in_palette(moved), number)

    def _in_palette(self, picture: Tensor) -> Tensor:
        """A picture with the first frame's colours."""
        palette = colour_gaussian(self.parts.read(0))
        return recolour(picture, colour_gaussian(picture), palette)

    def finish(self, image: Tensor) -> Tensor:
        """A Step's picture as its frame will be."""
        return self._work.finish(image)

    def images(self) -> Iterator[Image.Image]:
        """The animation, as far as there are frames; a loop that is whole comes without a seam."""
        fade = fade_frames(self.flight) if self.whole else 0
        for k in range(min(self.done, self.flight.frames)):
            frame = self.parts.read(k)
            if k < fade:
                # The old flight goes on while the new one, which began here, fades in.
                before = self.parts.read(self.flight.frames + k)
                # Two pictures in one have less contrast than either.
                frame = self._in_palette(torch.lerp(before, frame, (k + 1) / (fade + 1)))
            yield to_pil(frame)


def evaluations(schedule: Sequence[Scale]) -> int:
    return sum(scale.evaluations for scale in schedule)


def fade_frames(flight: FlightConfig) -> int:
    """How many frames the end of a loop fades over: a second's, at most half of all."""
    return min(round(flight.fps), flight.frames // 2) if flight.loop else 0
