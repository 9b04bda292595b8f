"""How styles, strengths and blends become mixes of affine pairs."""

from __future__ import annotations

import pytest

from cnnart.errors import UsageError
from cnnart.fast.table import StyleTable

PLAIN = StyleTable(("candy", "waves"))
RANGED = StyleTable(("candy", "waves"), (0.2, 1.0))


@pytest.mark.parametrize("table", [PLAIN, RANGED])
@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 1.0])
def test_weights_of_a_mix_sum_to_one(table: StyleTable, strength: float) -> None:
    row = table.row({"candy": 2, "waves": 3}, strength)
    assert row.shape == (1, table.entries)
    assert float(row.sum()) == pytest.approx(1)
    assert float(row.min()) >= 0


def test_a_style_of_one_pair_is_one_hot() -> None:
    assert PLAIN.row({"waves": 5}, 0.3).tolist() == [[0, 1]]
    assert PLAIN.row({"candy": 1, "waves": 3}, 0.9).tolist() == [[0.25, 0.75]]


def test_strength_moves_between_a_styles_two_pairs() -> None:
    assert RANGED.row({"waves": 1}, 0.2).tolist() == [[0, 0, 1, 0]]
    assert RANGED.row({"waves": 1}, 1.0).tolist() == [[0, 0, 0, 1]]
    assert RANGED.row({"candy": 1}, 0.6).tolist()[0] == pytest.approx([0.5, 0.5, 0, 0])
    assert RANGED.row({"candy": 1}, 0.05).tolist() == [[1, 0, 0, 0]]


def test_below_what_was_trained_the_photo_shows_through() -> None:
    assert [RANGED.opacity(s) for s in (0, 0.1, 0.2, 0.7)] == [0, 0.5, 1, 1]
    assert [PLAIN.opacity(s) for s in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]


def test_an_unknown_style_is_named_with_the_closest() -> None:
    with pytest.raises(UsageError, match=r"No style 'wave' in it: candy, waves\. Did you mean"):
        PLAIN.row({"wave": 1}, 0.5)
