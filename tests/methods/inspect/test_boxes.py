"""Boxes: how far they agree, the region they are put around, and how they are drawn."""

import pytest
import torch

from cnnart.methods.inspect.boxes import (
    PALETTE,
    Box,
    Mark,
    box_of,
    color_of,
    draw_marks,
    ink_on,
    largest_region,
)


def test_overlap_is_intersection_over_union():
    box = Box(0, 0, 10, 10)
    assert box.overlap(Box(0, 0, 10, 10)) == 1
    assert box.overlap(Box(5, 0, 15, 10)) == pytest.approx(50 / 150)
    assert box.overlap(Box(10, 0, 20, 10)) == 0
    assert box.overlap(Box(30, 30, 40, 40)) == 0
    assert Box(2, 2, 2, 2).overlap(Box(2, 2, 2, 2)) == 0


def test_center_scale_and_numbers():
    box = Box(2, 4, 8, 6)
    assert box.center == (5, 5)
    assert box.holds(2, 6)
    assert not box.holds(1.9, 5)
    assert box.scaled(10, 0.5) == Box(1, 40, 4, 60)
    assert Box(0.26, 0, 1, 2.04).numbers() == {"left": 0.3, "top": 0, "right": 1, "bottom": 2.0}


def test_largest_region_is_connected_over_corners():
    inside = torch.tensor(
        [[1, 0, 0, 0, 1, 1], [0, 1, 0, 0, 1, 0], [0, 0, 1, 0, 0, 0], [0, 1, 0, 0, 0, 1]]
    ).bool()
    found = largest_region(inside)
    assert found.nonzero().tolist() == [[0, 0], [1, 1], [2, 2], [3, 1]]
    assert box_of(found) == Box(0, 0, 3, 4)
    assert not largest_region(torch.zeros(3, 4, dtype=torch.bool)).any()


def test_a_spiral_is_one_region():
    text = [
        "#########",
        "........#",
        "#######.#",
        "#.....#.#",
        "#.###.#.#",
        "#.#...#.#",
        "#.#####.#",
    ]
    inside = torch.tensor([[c == "#" for c in line] for line in [*text, "#.......#", "#########"]])
    assert torch.equal(largest_region(inside), inside)


def test_marks_are_drawn_where_they_are():
    drawn = draw_marks(torch.ones(1, 3, 100, 120), [Mark(Box(20, 30, 60, 80), "", 1)])
    color = torch.tensor(PALETTE[1]) / 255
    for x, y in ((20, 50), (59, 50), (40, 30), (40, 79)):
        assert torch.allclose(drawn[0, :, y, x], color, atol=1e-3)
    assert bool((drawn[0, :, 35:75, 25:55] == 1).all())
    assert bool((drawn[0, :, :, 61:] == 1).all())


def test_a_name_has_room_at_every_corner():
    blank = torch.ones(1, 3, 60, 90)
    for box in (Box(0, 0, 90, 60), Box(80, 50, 90, 60), Box(-5, -5, 3, 3), Box(89, 59, 200, 200)):
        drawn = draw_marks(blank, [Mark(box, "a name that is too long for it", 3)])
        assert drawn.shape == blank.shape
        assert bool((drawn != blank).any())


def test_names_stand_out_from_their_color():
    def luminance(color):
        parts = [c / 255 for c in color]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for color in PALETTE:
        dark, light = sorted((luminance(color), luminance(ink_on(color))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG AA
    assert color_of(len(PALETTE) + 2) == PALETTE[2]
