"""Tiles cover a picture exactly once and see all they need."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from cnnart.optim.tiles import Span, spans, tiles

LENGTHS = st.integers(1, 700)
TILES = st.integers(1, 300)
HALOS = st.integers(0, 150)
ALIGNS = st.sampled_from([1, 2, 4, 8, 16])


@settings(max_examples=300, deadline=None)
@given(length=LENGTHS, tile=TILES, halo=HALOS, align=ALIGNS)
def test_spans_cover_exactly_once_with_aligned_borders(length, tile, halo, align):
    found = spans(length, tile, halo, align)
    assert found[0].start == 0
    assert found[-1].stop == length
    for left, right in itertools.pairwise(found):
        assert left.stop == right.start
    for span in found:
        assert span.start < span.stop
        assert span.start % align == 0
        assert span.low % align == 0
        assert span.stop % align == 0 or span.stop == length


@settings(max_examples=300, deadline=None)
@given(length=LENGTHS, tile=TILES, halo=HALOS, align=ALIGNS)
def test_regions_hold_the_halo_or_end_at_the_picture(length, tile, halo, align):
    for span in spans(length, tile, halo, align):
        assert 0 <= span.low <= span.start < span.stop <= span.high <= length
        assert span.low == 0 or span.start - span.low >= halo
        assert span.high == length or span.high - span.stop >= halo
        # Not a whole unit more than that: memory is what tiles are for.
        assert span.start - span.low < halo + align
        assert span.high - span.stop < halo + align


@settings(max_examples=300, deadline=None)
@given(length=LENGTHS, tile=TILES, halo=HALOS, align=ALIGNS)
def test_cores_are_even_and_no_larger_than_asked(length, tile, halo, align):
    found = spans(length, tile, halo, align)
    largest = max(tile // align, 1) * align  # a tile below the grid is rounded up to it
    units = [(s.stop - s.start) // align for s in found]
    for span in found[:-1]:
        assert span.stop - span.start <= largest
    assert found[-1].stop - found[-1].start < largest + align  # it takes the remainder
    assert max(units) - min(units) <= 1
    assert len(found) == -(-max(length // align, 1) * align // largest)


@settings(max_examples=300, deadline=None)
@given(length=LENGTHS, tile=TILES, halo=HALOS, align=ALIGNS, data=st.data())
def test_slices_agree_with_floor_pooling(length, tile, halo, align, data):
    """At any stride up to the grid's: units of the whole picture, each once, found in its tile."""
    stride = data.draw(st.sampled_from([s for s in (1, 2, 4, 8, 16) if s <= align]))
    covered = []
    for span in spans(length, tile, halo, align):
        whole, core = span.whole_at(stride), span.core_at(stride)
        covered += range(whole.start, whole.stop)
        assert core.stop - core.start == whole.stop - whole.start
        assert core.start * stride + span.low == whole.start * stride  # the same pixels
        assert core.start >= 0
        assert core.stop <= (span.high - span.low) // stride  # the region has that many units
    assert covered == list(range(length // stride))


@settings(max_examples=100, deadline=None)
@given(height=st.integers(16, 200), width=st.integers(16, 200), tile=TILES, align=ALIGNS)
def test_tiles_cover_every_pixel_once(height, width, tile, align):
    area, found = 0, list(tiles(height, width, tile, 5, align))
    corners = {(t.rows.start, t.columns.start) for t in found}
    assert len(corners) == len(found)
    for t in found:
        area += (t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start)
        rows, columns = t.region
        assert (rows.start, rows.stop) == (t.rows.low, t.rows.high)
        assert (columns.start, columns.stop) == (t.columns.low, t.columns.high)
    assert area == height * width


def test_a_large_enough_tile_or_none_is_a_single_one():
    whole = Span(0, 70, 0, 70), Span(0, 93, 0, 93)
    for size in (0, -1, 93, 1000):
        (tile,) = tiles(70, 93, size, 85, 16)
        assert (tile.rows, tile.columns) == whole
        assert tile.is_whole


def test_only_the_long_side_is_cut_where_the_other_fits():
    found = list(tiles(60, 300, 100, 10, 4))
    assert len(found) == 3
    assert all((t.rows.low, t.rows.high) == (0, 60) for t in found)
    assert not any(t.is_whole for t in found)
