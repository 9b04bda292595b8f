"""Companion maps follow the copies."""

import pytest
import torch

from cnnart.errors import UsageError
from cnnart.methods.texture.canvas import apply_nnf, check_companion
from tests.helpers.textures import grain


def test_pixels_come_from_where_the_nnf_says():
    maps = [grain(4, 5, 1), grain(3, 3, 1, seed=1)]
    nnf = torch.tensor([[[0, 3, 4], [1, 0, 2]], [[1, 2, 0], [0, 0, 0]]])
    expected = [
        [maps[0][0, 0, 3, 4], maps[1][0, 0, 0, 2]],
        [maps[1][0, 0, 2, 0], maps[0][0, 0, 0, 0]],
    ]
    assert apply_nnf(maps, nnf)[0, 0].tolist() == [[float(v) for v in row] for row in expected]


def test_two_maps_stay_aligned():
    albedo, height = grain(6, 6), grain(6, 6, 1, seed=1)
    both = torch.cat((albedo, height), 1)
    nnf = torch.randint(0, 6, (9, 7, 3), generator=torch.Generator().manual_seed(0))
    nnf[..., 0] = 0
    apart = torch.cat((apply_nnf([albedo], nnf), apply_nnf([height], nnf)), 1)
    assert torch.equal(apart, apply_nnf([both], nnf))


@pytest.mark.parametrize(
    ("maps", "nnf", "sentence"),
    [
        ([(4, 4)], (1, 0, 0), "The texture uses exemplar 2, but there are only 1 maps"),
        ([(4, 4)], (0, 4, 0), "Map 1 is smaller than its exemplar: it must have its size."),
        ([(4, 4)], (-1, -1, -1), "Some pixels are copies of no exemplar"),
    ],
)
def test_an_nnf_outside_the_maps_is_told(maps, nnf, sentence):
    with pytest.raises(UsageError, match=sentence):
        apply_nnf([grain(*size) for size in maps], torch.tensor([[nnf]]))


def test_maps_with_different_channels_are_told():
    with pytest.raises(UsageError, match="differ in their number of channels"):
        apply_nnf([grain(4, 4, 1), grain(4, 4, 3)], torch.zeros(2, 2, 3, dtype=torch.int64))


def test_a_companion_of_another_size_is_told():
    with pytest.raises(UsageError) as error:
        check_companion(grain(8, 6), grain(8, 8), "normal.png")
    assert str(error.value) == (
        "normal.png: a map of 6x8 pixels cannot follow an exemplar of 8x8: both must have the same "
        "size."
    )
