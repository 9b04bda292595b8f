"""The contact sheet."""

from __future__ import annotations

import pytest
import torch

from cnnart.image.contact_sheet import GAP, draw_sheet


def plain(value: float, height: int = 40, width: int = 60) -> torch.Tensor:
    return torch.full((1, 3, height, width), value)


def test_without_labels_the_cells_lie_where_arithmetic_says() -> None:
    sheet = draw_sheet([("", plain(0.2)), ("", plain(0.4)), ("", plain(0.6))], columns=2)
    assert sheet.shape == (1, 3, GAP + 2 * (40 + GAP), GAP + 2 * (60 + GAP))
    for index, value in enumerate((0.2, 0.4, 0.6)):
        row, column = divmod(index, 2)
        top, left = GAP + row * (40 + GAP), GAP + column * (60 + GAP)
        cell = sheet[..., top : top + 40, left : left + 60]
        assert torch.allclose(cell, plain(round(value * 255) / 255))
    assert (sheet[..., :GAP, :] == 1).all()
    assert (sheet[..., -40 - GAP :, -60:] == 1).all()  # the empty fourth place


def test_labels_and_a_title_take_room_and_leave_ink() -> None:
    bare = draw_sheet([("", plain(0.5))])
    labelled = draw_sheet([("relu4_2\n12 %", plain(0.5))], title="layers")
    assert labelled.shape[-1] == bare.shape[-1]
    assert labelled.shape[-2] > bare.shape[-2] + 20
    below = labelled[..., -(labelled.shape[-2] - bare.shape[-2]) // 2 :, :]
    assert float(below.min()) < 0.5


def test_an_endless_label_stays_within_its_cell() -> None:
    cells = [("i" * 400, plain(0.5)), ("", plain(0.5))]
    sheet = draw_sheet(cells, columns=2)
    right = sheet[..., GAP + 40 :, GAP + 60 + GAP :]
    assert (right == 1).all()


def test_pictures_of_other_sizes_are_scaled_into_the_first_ones() -> None:
    sheet = draw_sheet([("", plain(0.0)), ("", plain(0.5, 80, 60))], columns=2)
    cell = sheet[..., GAP : GAP + 40, GAP + 60 + GAP : -GAP]
    assert cell.shape[-2:] == (40, 60)
    assert torch.allclose(cell[..., 15:45], torch.tensor(128 / 255))  # 30 x 40 in the middle
    assert (cell[..., :14] == 1).all()


def test_gray_pictures_and_the_number_of_columns() -> None:
    gray = torch.full((1, 1, 10, 10), 0.5)
    assert draw_sheet([("", gray)] * 9).shape[-2:] == (GAP + 3 * 18, GAP + 3 * 18)
    assert draw_sheet([("", gray)] * 2, columns=5).shape[-1] == GAP + 2 * 18


@pytest.mark.parametrize("count", [1, 7])
def test_every_picture_is_there(count: int) -> None:
    cells = [(str(i), plain(i / 10)) for i in range(count)]
    found = {round(float(v) * 255) for v in draw_sheet(cells).unique()}
    assert {round(i / 10 * 255) for i in range(count)} <= found
