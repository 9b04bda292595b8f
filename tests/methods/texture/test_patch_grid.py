"""Grids of windows and what may be filled at once."""

import pytest
import torch

from cnnart.methods.texture.patch_grid import all_starts, make_grid, wavefronts


@pytest.mark.parametrize("size", [1, 7, 30, 31, 100])
@pytest.mark.parametrize("wraps", [False, True])
def test_every_pixel_is_covered_and_neighbors_overlap(size, wraps):
    patch = min(10, size)
    found = make_grid(size, patch, 4 if patch > 4 else 0, wraps)
    covered = torch.zeros(found.length, dtype=torch.int64)
    for start in found.starts:
        covered[(torch.arange(patch) + start) % found.length] += 1
    assert bool((covered >= 1).all())
    assert found.length == size if wraps else found.length >= size
    around = (*found.starts[1:], *([size] if wraps else []))
    steps = [b - a for a, b in zip(found.starts, around, strict=False)]
    assert all(step <= patch - found.overlap for step in steps)


def test_windows_of_a_wavefront_do_not_touch_and_wait_for_what_they_overlap():
    grids = (make_grid(40, 12, 4, True), make_grid(48, 12, 4, True))
    starts = all_starts(grids)
    level = {}
    for number, wavefront in enumerate(wavefronts(starts, 12, grids)):
        for index in wavefront.tolist():
            level[index] = number

    def overlap(a, b):
        y, x = ((starts[a] - starts[b]).abs()).tolist()
        return min(y, 40 - y) < 12 and min(x, 48 - x) < 12

    assert sorted(level) == list(range(len(starts)))
    for a in range(len(starts)):
        for b in range(a):
            if overlap(a, b):
                assert level[b] < level[a]


def test_a_plain_grid_is_filled_along_diagonals():
    grids = (make_grid(100, 20, 5, False), make_grid(100, 20, 5, False))
    starts = all_starts(grids)
    assert len(starts) == 49
    assert len(wavefronts(starts, 20, grids)) == 7 + 2 * 6
