"""Weights found by measuring."""

from __future__ import annotations

import pytest
import torch

from cnnart.methods.fast.train.balance import LossBalancer, LossScales, style_ratio
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.losses import Terms

LAYERS = {"relu1_1": 1.0, "relu2_1": 3.0}


def terms(content: list[float], style: list[list[float]], palette: list[float]) -> Terms:
    zero = torch.zeros(len(content))
    return Terms(
        torch.tensor(content), torch.tensor(style), torch.tensor(palette), zero, zero, zero, zero
    )


def numbers(*styles: int) -> torch.Tensor:
    return torch.tensor(styles)


def strengths(*values: float) -> torch.Tensor:
    return torch.tensor(values)


def balance(**settings: float) -> LossBalancer:
    scales = LossScales(torch.tensor([[2.0, 4.0], [20.0, 0.5]]), torch.tensor([0.1, 0.02]))
    config = TrainConfig(style_layers=LAYERS, coarse_layers={}, **settings)
    return LossBalancer(config, scales, last_step=100)


def test_photos_themselves_have_all_of_every_style_left() -> None:
    style, palette = balance().left_over(
        terms([0, 0], [[2.0, 4.0], [20.0, 0.5]], [0.1, 0.02]), numbers(0, 1)
    )
    assert style.tolist() == pytest.approx([1, 1])
    assert palette.tolist() == pytest.approx([1, 1])


def test_layer_weights_share_the_style() -> None:
    style, _ = balance().left_over(terms([0], [[0.0, 4.0]], [0.1]), numbers(0))
    assert float(style) == pytest.approx(0.75)


def test_strength_weighs_style() -> None:
    assert style_ratio(strengths(0.2, 0.5, 1.0)).tolist() == pytest.approx([1 / 16, 1, 8])
    weak = balance()(terms([1.0], [[2.0, 4.0]], [0.1]), numbers(0), strengths(0.2))
    usual = balance()(terms([1.0], [[2.0, 4.0]], [0.1]), numbers(0), strengths(0.5))
    proportion = (weak["style"] / weak["content"]) / (usual["style"] / usual["content"])
    assert float(proportion) == pytest.approx(1 / 16)


def test_photos_pixels_count_only_where_style_is_weak() -> None:
    found = terms([0.0], [[0.0, 0.0]], [0.0])
    found = Terms(
        *(getattr(found, n) for n in ("content", "style", "palette")),
        torch.ones(1),
        *(torch.zeros(1) for _ in range(3)),
    )
    assert float(balance()(found, numbers(0), strengths(0.2))["pixel"]) > 0
    assert float(balance()(found, numbers(0), strengths(0.5))["pixel"]) == 0


@pytest.mark.parametrize(("left", "grows"), [(0.9, True), (0.01, False)])
def test_factors_move_towards_the_ratio(left: float, grows: bool) -> None:
    made = balance(balance=0.25)
    made.seen += made.observed(
        terms([0.4], [[2.0 * left, 4.0 * left]], [0.1]), numbers(0), strengths(0.5)
    )
    made.move(made.seen.clone(), 50)
    assert (float(made.factors[0]) > 1) is grows
    assert float(made.factors[1]) == 1  # nothing was seen of it
    assert not made.seen.any()


def test_at_the_ratio_nothing_moves() -> None:
    made = balance(balance=0.25)
    made.seen += made.observed(terms([0.4], [[0.2, 0.4]], [0.1]), numbers(0), strengths(0.5))
    made.move(made.seen.clone(), 50)
    assert float(made.factors[0]) == pytest.approx(1)


def test_only_the_middle_strength_is_looked_at() -> None:
    made = balance()
    made.seen += made.observed(terms([0.4], [[2.0, 4.0]], [0.1]), numbers(0), strengths(0.9))
    assert not made.seen.any()


@pytest.mark.parametrize(("step", "moves"), [(30, False), (40, True), (100, True), (110, False)])
def test_factors_rest_at_the_beginning_and_at_the_end(step: int, moves: bool) -> None:
    made = balance()
    made.seen += made.observed(terms([0.4], [[2.0, 4.0]], [0.1]), numbers(0), strengths(0.5))
    assert made.due(step)
    assert not made.due(step + 1)
    made.move(made.seen.clone(), step)
    assert bool(made.factors[0] != 1) is moves
    assert not made.seen.any()


def test_judging_does_not_depend_on_factors() -> None:
    made, found = balance(), terms([0.4], [[1.0, 1.0]], [0.05])
    before = made.score(found, numbers(0))
    made.factors = made.factors * 3
    assert torch.equal(made.score(found, numbers(0)), before)
