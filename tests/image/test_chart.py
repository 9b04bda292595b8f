"""Line charts."""

from __future__ import annotations

import pytest
from PIL import Image

from cnnart.image.chart import COLORS, HEIGHT, WIDTH, Axis, Panel, axis, draw_charts, nice_step

LINE = Panel("losses", "step", {"style": [(0, 1.0), (10, 0.0)]})


def count(image: Image.Image, color: str) -> int:
    wanted = Image.new("RGB", (1, 1), color).getpixel((0, 0))
    return sum(n for n, found in image.getcolors(1 << 20) or [] if found == wanted)


def test_panels_stand_in_rows() -> None:
    assert draw_charts([LINE]).size == (WIDTH, HEIGHT)
    assert draw_charts([LINE] * 3, columns=2).size == (2 * WIDTH, 2 * HEIGHT)


def test_a_series_is_drawn_in_its_color_and_an_empty_panel_is_no_failure() -> None:
    assert count(draw_charts([LINE]), COLORS[0]) > 400
    assert count(draw_charts([LINE]), COLORS[1]) == 0
    assert count(draw_charts([Panel("none", "step", {})]), COLORS[0]) == 0


def test_long_series_have_no_marks() -> None:
    few = Panel("", "", {"a": [(i, 1.0) for i in range(60)]})
    many = Panel("", "", {"a": [(i, 1.0) for i in range(61)]})
    assert count(draw_charts([many]), COLORS[0]) < count(draw_charts([few]), COLORS[0])


def test_axes_map_values_to_pixels() -> None:
    line = Axis(0, 10, 100, 200, log=False)
    assert [line.at(v) for v in (0, 5, 10)] == [100, 150, 200]
    decades = Axis(1, 100, 0, 100, log=True)
    assert decades.at(10) == pytest.approx(50)
    assert decades.ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert axis([1, 7], False, 0, 1).low == 0


@pytest.mark.parametrize(("raw", "step"), [(0.3, 0.5), (1.0, 1.0), (12, 20), (60, 100)])
def test_steps_are_round(raw: float, step: float) -> None:
    assert nice_step(raw) == pytest.approx(step)
