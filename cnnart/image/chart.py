"""Line charts drawn with Pillow, so that no plotting library is needed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

COLORS = ("#c0392b", "#2c6fbb", "#2e8b57", "#8e5bb5", "#c77f1a")
INK, GRID = "#333333", "#dddddd"
WIDTH, HEIGHT = 520, 380
MOST_MARKS = 60  # points of a series that are marked one by one
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 66, 56


@dataclass(frozen=True)
class Panel:
    """One chart: named series of (x, y) points. ``log_x`` and ``log_y`` choose the axes.

    ``x_ticks``: where to label the x axis; empty: at round numbers.
    """

    title: str
    x_label: str
    series: dict[str, Sequence[tuple[float, float]]]
    log_x: bool = False
    log_y: bool = False
    x_ticks: Sequence[float] = ()


@dataclass(frozen=True)
class Axis:
    """Maps values in [low, high] to pixels in [start, stop]."""

    low: float
    high: float
    start: float
    stop: float
    log: bool

    def at(self, value: float) -> float:
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        return self.start + (value - low) / (high - low) * (self.stop - self.start)

    def ticks(self) -> list[float]:
        if not self.log:
            step = nice_step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            count = math.floor(self.high / step + 1e-9) - first + 1
            return [(first + i) * step for i in range(count)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        values = [m * 10.0**d for d in decades for m in (1, 2, 5)]
        return [v for v in values if self.low * 0.999 <= v <= self.high * 1.001]


def nice_step(raw: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)


def axis(values: Sequence[float], log: bool, start: float, stop: float) -> Axis:
    """An axis that shows all the values, and zero too unless it is logarithmic."""
    if log:
        low, high = min(values), max(values)
        return Axis(low / 1.15, high * 1.15, start, stop, True)
    return Axis(0.0, (max(values) or 1.0) * 1.05, start, stop, False)


def draw_charts(panels: Sequence[Panel], columns: int = 2) -> Image.Image:
    """The panels in one picture, ``columns`` in a row."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    image = Image.new("RGB", (columns * WIDTH, rows * HEIGHT), "white")
    for i, panel in enumerate(panels):
        tile = draw_panel(panel)
        image.paste(tile, ((i % columns) * WIDTH, (i // columns) * HEIGHT))
    return image


def draw_panel(panel: Panel) -> Image.Image:
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 14), panel.title, INK, ImageFont.load_default(17))
    points = [point for series in panel.series.values() for point in series]
    if not points:
        return image
    xs = axis([x for x, _ in points], panel.log_x, LEFT, WIDTH - RIGHT)
    ys = axis([y for _, y in points], panel.log_y, HEIGHT - BOTTOM, TOP)
    draw_axes(draw, xs, ys, panel)
    for series, color in zip(panel.series.values(), itertools.cycle(COLORS), strict=False):
        places = [(xs.at(x), ys.at(y)) for x, y in series]
        draw.line(places, color, 2)
        for x, y in places if len(places) <= MOST_MARKS else ():
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), color)
    draw_legend(draw, list(panel.series))
    return image


def draw_axes(draw: ImageDraw.ImageDraw, xs: Axis, ys: Axis, panel: Panel) -> None:
    font = ImageFont.load_default(12)
    for value in ys.ticks():
        y = ys.at(value)
        draw.line((LEFT, y, WIDTH - RIGHT, y), GRID)
        draw.text((LEFT - 8, y), f"{value:g}", INK, font, anchor="rm")
    for value in panel.x_ticks or xs.ticks():
        x = xs.at(value)
        draw.line((x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 4), INK)
        draw.text((x, HEIGHT - BOTTOM + 8), f"{value:g}", INK, font, anchor="mt")
    draw.line((LEFT, TOP, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM), INK)
    middle = (LEFT + WIDTH - RIGHT) / 2
    draw.text((middle, HEIGHT - 12), panel.x_label, INK, ImageFont.load_default(13), anchor="mb")


def draw_legend(draw: ImageDraw.ImageDraw, names: Sequence[str]) -> None:
    """One line of names in their colors between the title and the chart."""
    font, x = ImageFont.load_default(13), float(LEFT)
    for name, color in zip(names, itertools.cycle(COLORS), strict=False):
        draw.line((x, 50, x + 18, 50), color, 3)
        draw.text((x + 24, 50), name, INK, font, anchor="lm")
        x += 24 + draw.textlength(name, font) + 20
