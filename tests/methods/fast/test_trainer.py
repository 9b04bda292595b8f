"""Training: it learns, continues bit for bit, adds styles, survives and stops."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cnnart.errors import CnnartError, UsageError, WeightsError
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.state import restore_state, save_state
from cnnart.methods.fast.train.step import ComputeOptions, TrainBatch, TrainStep
from cnnart.methods.fast.train.trainer import Trainer
from tests.helpers.fast import checkpoint, photo_folder, trainer


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photo_folder(tmp_path_factory.mktemp("train") / "photos")


def train(run: Trainer, until: int | None = None) -> Trainer:
    for step in run.steps():
        if step.index == until:
            break
    return run


def same(first: Trainer, second: Trainer) -> bool:
    pairs = [
        *zip(
            first.train_step.network.state_dict().values(),
            second.train_step.network.state_dict().values(),
            strict=True,
        ),
        *zip(
            first.train_step.ema.state_dict().values(),
            second.train_step.ema.state_dict().values(),
            strict=True,
        ),
        (first.balancer.factors, second.balancer.factors),
    ]
    return all(torch.equal(a, b) for a, b in pairs)


def test_it_learns_and_the_best_is_kept(photos: Path) -> None:
    run = train(trainer(photos, steps=60, validate_every=15))
    judged = run.validator.history
    assert judged[-1]["loss"] < 0.95 * judged[0]["loss"]
    assert [v["step"] for v in judged] == [15, 30, 45, 60]
    usable = min(v["loss"] for v in judged)
    assert run.validator.best == pytest.approx(usable, abs=1e-4)
    made = run.checkpoint()
    assert made.bank.names == ("amber", "blue")
    assert made.training["best_step"] == run.validator.best_step
    assert all(style.thumbnail for style in made.styles)


def test_crops_are_small_first(photos: Path) -> None:
    run = trainer(photos, size=128, steps=10, small_crop_fraction=0.3)
    assert [run.side(i) for i in (1, 3, 4, 10)] == [64, 64, 128, 128]
    assert run.schedule() == [((64, 64), 3), ((128, 128), 7)]


def test_a_continued_run_is_bit_for_bit_the_uninterrupted_one(photos: Path) -> None:
    whole = train(trainer(photos))
    stopped = train(trainer(photos), until=11)
    data = save_state(stopped)
    resumed = trainer(photos)
    restore_state(resumed, data, "x")
    assert resumed.index == 11
    train(resumed)
    assert same(whole, resumed)
    assert whole.history == resumed.history
    assert whole.validator.history == resumed.validator.history
    before, after = whole.checkpoint(), resumed.checkpoint()
    state = before.network.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in after.network.state_dict().items())


def test_threads_and_accumulation_change_no_result(photos: Path) -> None:
    plain = train(trainer(photos, steps=6))
    threaded = train(trainer(photos, ComputeOptions(workers=2), steps=6))
    assert same(plain, threaded)
    accumulated = trainer(photos, steps=6)
    accumulated.train_step.accumulation_steps = 2
    train(accumulated)
    a, b = plain.train_step.network.head.weight, accumulated.train_step.network.head.weight
    assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 100}, "Crops of 100 pixels: use a multiple of 16 from 64"),
        ({"steps": 0}, "Steps must be at least 1"),
        ({"ema_decay": 1.0}, "EMA decay 1 is out of range"),
        ({"max_grad_norm": 0.0}, "The max grad norm must be above zero"),
        ({"strength_range": (0.5, 0.2)}, "The strength range is two numbers"),
        ({"coarse_layers": {"relu3_1": -1.0}}, "Layer weights must not be negative"),
        ({"style_layers": {}}, "No style layer has a positive weight"),
        ({"arch": "smal"}, "Unknown architecture 'smal'"),
    ],
)
def test_settings_out_of_range_make_no_config(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        TrainConfig(**settings)


def test_settings_are_recorded_under_the_names_that_files_have() -> None:
    recorded = TrainConfig(warmup_steps=7, ema_decay=0.9).recorded()
    assert (recorded["warm_up"], recorded["average"]) == (7, 0.9)
    assert {"clip", "small_share"} < set(recorded)
    assert recorded["strength_range"] == [0.2, 1.0]


@pytest.mark.parametrize(
    ("other", "sentence"),
    [({"batch": 1}, "batch 2, now 1"), ({"style_size": 96}, "style_size 64, now 96")],
)
def test_other_settings_are_not_continued(
    photos: Path, other: dict[str, int], sentence: str
) -> None:
    data = save_state(train(trainer(photos), until=2))
    with pytest.raises(UsageError, match=f"the saved run had {sentence}"):
        restore_state(trainer(photos, **other), data, "my.training.pt")


def test_a_damaged_training_state_is_named(photos: Path) -> None:
    data = save_state(train(trainer(photos), until=2))
    with pytest.raises(WeightsError, match="this saved run is damaged"):
        restore_state(trainer(photos), data[:-50], "my.training.pt")


def test_a_style_added_leaves_the_others_bit_for_bit(photos: Path) -> None:
    base = checkpoint("candy", "waves", arch="small,widths=6-8,blocks=1")
    run = train(trainer(photos, into=base, steps=12))
    made = run.checkpoint()
    assert made.bank.names == ("candy", "waves", "amber", "blue")
    old, new = base.network.state_dict(), made.network.state_dict()
    for key, value in old.items():
        assert torch.equal(new[key][: len(value)] if ".norm." in key else new[key], value)
    gamma = new["encoder.0.norm.gamma"]
    assert not torch.equal(gamma[4], gamma[6])
    photo = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = base.network(photo, base.bank.style_vector({"waves": 1}, 0.5))
        after = made.network(photo, made.bank.style_vector({"waves": 1}, 0.5))
    assert torch.equal(before, after)


def test_a_name_that_is_taken_is_refused(photos: Path) -> None:
    with pytest.raises(UsageError, match="knows a style 'blue' already"):
        trainer(photos, into=checkpoint("candy", "blue"))


def test_out_of_memory_means_accumulated_gradients(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, original = trainer(photos, steps=3), TrainStep.forward
    plain = train(trainer(photos, steps=3))

    def scarce(self: TrainStep, batch: TrainBatch):  # type: ignore[no-untyped-def]
        if len(batch.photos) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return original(self, batch)

    monkeypatch.setattr(TrainStep, "forward", scarce)
    train(run)
    assert run.warnings[0] == "Out of memory: going on with a batch in 2 pieces."
    assert run.train_step.accumulation_steps == 2
    assert torch.allclose(
        run.train_step.network.head.weight, plain.train_step.network.head.weight, atol=1e-4
    )


def test_a_time_budget_settles_the_number_of_steps(photos: Path) -> None:
    run = trainer(photos, ComputeOptions(seconds=0.01), steps=5000)
    train(run)
    assert run.index <= 41
    assert run.total == run.index
    assert run.validator.history[-1]["step"] == run.total


def test_a_step_that_is_not_finite_leaves_no_trace(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, original, calls = trainer(photos, steps=40), TrainStep.forward, []

    def broken(self: TrainStep, batch: TrainBatch):  # type: ignore[no-untyped-def]
        calls.append(1)
        factor = float("inf") if len(calls) in (5, 20) else 1.0
        return original(self, replace(batch, photos=batch.photos * factor))

    monkeypatch.setattr(TrainStep, "forward", broken)
    train(run)
    assert len(run.history.entries) == 3
    values = [v for _, means in run.history.entries for v in means.values()]
    assert all(map(math.isfinite, values))
    assert bool(run.balancer.factors.isfinite().all())


def test_a_run_without_finite_gradients_ends(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(photos)
    before = {k: v.clone() for k, v in run.train_step.network.state_dict().items()}
    original = TrainStep.forward

    def broken(self: TrainStep, batch: TrainBatch):  # type: ignore[no-untyped-def]
        return original(self, replace(batch, photos=batch.photos * float("nan")))

    monkeypatch.setattr(TrainStep, "forward", broken)
    with pytest.raises(CnnartError, match="Training broke down at step 10"):
        train(run)
    assert all(torch.equal(v, before[k]) for k, v in run.train_step.network.state_dict().items())


def test_a_run_that_goes_bad_is_stopped(photos: Path) -> None:
    run = trainer(photos, steps=40, validate_every=4)
    for step in run.steps():
        if step.index == 16:
            break
    with torch.no_grad():
        for net in (run.train_step.network, run.train_step.ema):
            net.head.weight.zero_()
            net.head.weight.requires_grad_(False)
    run.train_step.optimizer.param_groups[0]["params"] = [
        p
        for p in run.train_step.optimizer.param_groups[0]["params"]
        if p is not run.train_step.network.head.weight
    ]
    with pytest.raises(
        CnnartError, match="3 validations in a row show a picture of almost nothing"
    ):
        train(run)
    assert run.validator.best_step <= 16


def test_a_batch_must_be_shared_evenly(photos: Path) -> None:
    from cnnart.methods.fast.train.distributed import Group

    with pytest.raises(UsageError, match="A batch of 2 cannot be shared by 3 processes"):
        trainer(photos, ComputeOptions(group=Group(0, 3)))
