"""How styles, strengths and blends become weights of affine pairs."""

from __future__ import annotations

import pytest

from cnnart.errors import UsageError
from cnnart.methods.fast.network import StyleBank

PLAIN = StyleBank(("candy", "waves"))
RANGED = StyleBank(("candy", "waves"), (0.2, 1.0))


@pytest.mark.parametrize("bank", [PLAIN, RANGED])
@pytest.mark.parametrize("strength", [0.0, 0.2, 0.5, 1.0])
def test_weights_of_a_vector_sum_to_one(bank: StyleBank, strength: float) -> None:
    vector = bank.style_vector({"candy": 2, "waves": 3}, strength)
    assert vector.shape == (1, bank.pairs)
    assert float(vector.sum()) == pytest.approx(1)
    assert float(vector.min()) >= 0


def test_a_style_of_one_pair_is_one_hot() -> None:
    assert PLAIN.style_vector({"waves": 5}, 0.3).tolist() == [[0, 1]]
    assert PLAIN.style_vector({"candy": 1, "waves": 3}, 0.9).tolist() == [[0.25, 0.75]]


def test_strength_moves_between_a_styles_two_pairs() -> None:
    assert RANGED.style_vector({"waves": 1}, 0.2).tolist() == [[0, 0, 1, 0]]
    assert RANGED.style_vector({"waves": 1}, 1.0).tolist() == [[0, 0, 0, 1]]
    assert RANGED.style_vector({"candy": 1}, 0.6).tolist()[0] == pytest.approx([0.5, 0.5, 0, 0])
    assert RANGED.style_vector({"candy": 1}, 0.05).tolist() == [[1, 0, 0, 0]]


def test_below_what_was_trained_the_photo_shows_through() -> None:
    assert [RANGED.opacity(s) for s in (0, 0.1, 0.2, 0.7)] == [0, 0.5, 1, 1]
    assert [PLAIN.opacity(s) for s in (0, 0.25, 0.5, 1)] == [0, 0.5, 1, 1]


def test_an_unknown_style_is_named_with_the_closest() -> None:
    with pytest.raises(UsageError, match=r"No style 'wave' in it: candy, waves\. Did you mean"):
        PLAIN.style_vector({"wave": 1}, 0.5)
