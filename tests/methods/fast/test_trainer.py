"""Training: it learns, continues bit for bit, adds styles, survives and stops."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from cnnart.errors import CnnartError, OutOfMemory, UsageError, WeightsError
from cnnart.methods.fast.predictor import at_style_size
from cnnart.methods.fast.train import step as step_module
from cnnart.methods.fast.train import trainer as trainer_module
from cnnart.methods.fast.train.config import TrainConfig
from cnnart.methods.fast.train.data import center_crop, read_photo
from cnnart.methods.fast.train.state import restore_state, save_state
from cnnart.methods.fast.train.step import ComputeOptions, TrainBatch, TrainStep
from cnnart.methods.fast.train.trainer import Trainer
from cnnart.optim.capture import Replay
from cnnart.optim.detail import detail_of
from tests.helpers.fast import arbitrary_checkpoint, checkpoint, photo_folder, trainer
from tests.helpers.pictures import make_painting


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
            first.train_step.model.network.state_dict().values(),
            second.train_step.model.network.state_dict().values(),
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
    run = trainer(photos, steps=60, validate_every=15)
    untrained, _ = run.validator.judge()
    judged = train(run).validator.history
    assert judged[-1]["loss"] < 0.9 * untrained
    assert [v["step"] for v in judged] == [15, 30, 45, 60]
    usable = min(v["loss"] for v in judged)
    assert run.validator.best == pytest.approx(usable, abs=1e-4)
    made = run.checkpoint()
    assert made.bank.names == ("amber", "blue")
    assert made.training["best_step"] == run.validator.best_step
    assert all(style.thumbnail for style in made.styles)


def test_crops_are_small_first(photos: Path) -> None:
    run = trainer(photos, size=128, steps=10, small_crop_fraction=0.3)
    assert [run.schedule.side(i) for i in (1, 3, 4, 10)] == [64, 64, 128, 128]
    assert run.schedule.stages() == [(64 * 64, 3), (128 * 128, 7)]


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
    a, b = (
        plain.train_step.model.network.head.weight,
        accumulated.train_step.model.network.head.weight,
    )
    assert torch.allclose(a, b, atol=5e-4)  # Adam's steps are 5e-3: next to nothing is a step, too


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": 100}, "Crops of 100 pixels: use a multiple of 16 from 64"),
        ({"batch": "many"}, "The batch 'many' is no number: write 4 or auto"),
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
    # The same pair out of more of them: summed in another order.
    torch.testing.assert_close(before, after, atol=1e-5, rtol=1e-5)


def test_a_style_added_leaves_the_predictor(photos: Path) -> None:
    base = arbitrary_checkpoint("candy")
    made = train(trainer(photos, into=base, steps=2)).checkpoint()
    assert base.predictor is not None
    assert made.predictor is not None
    old, new = base.predictor.state_dict(), made.predictor.state_dict()
    assert all(torch.equal(new[key], value) for key, value in old.items())


def test_a_run_that_starts_from_a_network_trains_all_of_it(photos: Path) -> None:
    base = checkpoint("candy", "blue", arch="small,widths=6-8,blocks=1")
    run = trainer(photos, start=base, steps=12)
    network, bank = run.train_step.model.network, run.bank
    assert bank.names == ("amber", "blue")
    photo = torch.rand(1, 3, 32, 32)
    known = {"amber": {"candy": 1.0, "blue": 1.0}, "blue": {"blue": 1.0}}  # a new one: the mean
    for name, like in known.items():
        with torch.no_grad():
            begun = network(photo, bank.style_vector({name: 1.0}, 0.3))
            before = base.network(photo, base.bank.style_vector(like, 0.3))
        assert torch.allclose(begun, before, atol=1e-6)
    made = train(run).checkpoint()
    assert not torch.equal(
        made.network.state_dict()["encoder.0.weight"], base.network.state_dict()["encoder.0.weight"]
    )


def test_a_style_says_how_much_detail_its_painting_has(photos: Path) -> None:
    run = trainer(photos, steps=1, style_size=64)
    wanted = [detail_of(at_style_size(p.image, 64))[0] for p in run.paintings]
    found = [style.detail for style in train(run).checkpoint().styles]
    assert torch.allclose(torch.tensor(found), torch.stack(wanted))
    assert len(set(found)) == 2


def test_what_has_colors_goes_on_in_them(photos: Path) -> None:
    colors = (0.2, 0.4, 0.6, *(0.01 * torch.eye(3)).flatten().tolist())
    base = checkpoint("amber", "blue")
    base.styles = tuple(replace(style, colors=colors) for style in base.styles)
    run = trainer(photos, start=base, steps=2)
    assert [style.colors for style in train(run).checkpoint().styles] == [colors] * 2
    numbers = torch.tensor([0, 1])
    photo = torch.rand(2, 3, 64, 64)
    vectors = run._style_vectors(numbers, torch.tensor([0.5, 0.5]))
    painted = run.train_step.model(photo, numbers, vectors, None, None, torch.float32)
    wanted, _ = run.targets.colors
    assert torch.allclose(painted.mean((2, 3)), wanted, atol=1e-3)
    base.styles = (base.styles[0], replace(base.styles[1], colors=()))
    plain = trainer(photos, start=base, steps=2)
    assert not any(style.colors for style in plain.styles)
    assert plain.train_step.model.predictor is None
    assert not len(plain.train_step.model.mean)


def test_a_soft_painting_counts_no_less_than_others(photos: Path) -> None:
    """Photos have many times its contrast: undivided by that, the style is not found near."""
    soft = trainer(photos)
    soft.paintings[0] = replace(soft.paintings[0], image=0.5 + 0.02 * soft.paintings[0].image)
    soft.targets = soft.losses.targets(soft._painting(p.image) for p in soft.paintings)
    scales = soft._loss_scales().style
    whole = torch.zeros_like(scales)
    paths = soft.photos.train[: trainer_module.CALIBRATION_PHOTOS]
    for path in paths:
        found = soft.losses.activations(center_crop(read_photo(path, 64), 64))
        for number in range(2):
            target = torch.tensor([number])
            whole[number] += soft.losses.style(found, soft.targets, target)[0] / len(paths)
    assert whole[0].min() > 2
    assert torch.allclose(scales[0], whole[0].sqrt())
    near = whole[1] < 1
    assert near.any()
    assert torch.allclose(scales[1][near], whole[1][near])


def test_a_predictor_starts_from_the_pairs_or_the_predictor_that_are_known(photos: Path) -> None:
    paintings = [make_painting(seed=s, color=(s / 6, 0.5, 1 - s / 6)) for s in range(6)]
    base = checkpoint("candy", "blue", arch="small,widths=6-8,blocks=1")
    first = trainer(photos, start=base, arbitrary=paintings, steps=2)
    predictor = first.train_step.model.predictor
    assert predictor is not None
    mean = base.network.mixed_pair(base.bank.style_vector({"candy": 1.0, "blue": 1.0}, 1.0))
    with torch.no_grad():
        far = predictor(first.targets.described()[:1], torch.ones(1)).gamma - mean.gamma
        assert float(far.abs().mean()) < 0.2 * float(mean.gamma.abs().mean())
    made = train(first).checkpoint()
    assert made.predictor is not None
    again = trainer(photos, start=made, arbitrary=paintings).train_step.model.predictor
    assert again is not None
    old, new = made.predictor.state_dict(), again.state_dict()
    assert all(torch.equal(new[key], value) for key, value in old.items())


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
        run.train_step.model.network.head.weight,
        plain.train_step.model.network.head.weight,
        atol=1e-4,
    )


def test_memory_that_holds_not_even_one_photo(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: TrainStep, batch: TrainBatch) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(TrainStep, "forward", full)
    with pytest.raises(OutOfMemory, match="even photo by photo: choose a smaller `size`"):
        train(trainer(photos))


def test_a_time_budget_settles_the_number_of_steps(photos: Path) -> None:
    run = trainer(photos, ComputeOptions(seconds=0.01), steps=5000)
    train(run)
    assert run.index <= 5
    assert run.total == run.index
    assert run.validator.history[-1]["step"] == run.total


class NoWaiting(TorchDispatchMode):
    """Raises where a number would be read, for which the host waits for a device."""

    waits = (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        assert func.overloadpacket not in self.waits, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("pieces", [1, 2])
def test_nothing_in_a_step_waits_for_the_device(
    photos: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    def forbidden(self: torch.Tensor, *_: object) -> None:
        raise AssertionError("a step waits for the device")

    run = trainer(photos, steps=60, validate_every=20, size=128, small_crop_fraction=0.3)
    run.read_every = 10  # as on a device that is waited for
    run.train_step.accumulation_steps = pieces
    steps = run.steps()
    for until in (1, 21):  # with small crops, which the first ones are, and with large ones
        while run.index < until:
            next(steps)
        with NoWaiting(), monkeypatch.context() as patch:
            for name in ("item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__"):
                patch.setattr(torch.Tensor, name, forbidden)
            for index in range(until + 1, until + 9):
                assert not run.reads(index)
                assert next(steps).index == index
    assert [step for step, _ in run.history.entries] == [10, 20]


class Traced:
    """Stands in for a CUDA graph: all operations of a call, again and again with the arguments and
    on the tensors with which they were recorded. The recording itself computes, unlike a graph's.
    """

    def run(self, function: Callable[[], Any]) -> Any:
        return function()

    def record(self, function: Callable[[], Any]) -> tuple[Any, Callable[[], None]]:
        tape: list[tuple[Any, Any, Any]] = []

        class Recording(TorchDispatchMode):
            def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
                result = func(*args, **(kwargs or {}))
                tape.append((func, (args, kwargs or {}), result))
                return result

        with Recording():
            found = function()
        computed = True

        @torch.no_grad()
        def replay() -> None:
            nonlocal computed
            todo, computed = ([] if computed else tape), False
            now: dict[int, Any] = {}  # what has taken the place of a recorded result
            for func, given, result in todo:
                args, kwargs = tree_map(lambda x: now.get(id(x), x), given)
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                    now[id(old)] = new
            if todo:
                found.copy_(now.get(id(found), found))

        return found, replay


def test_a_recorded_step_repeated_is_the_step(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"steps": 12, "size": 128}
    plain = train(trainer(photos, **settings))
    recorded = trainer(photos, **settings)
    recorded.train_step._records = True
    replays: list[Replay] = []

    def stand_in(device: torch.device) -> Replay:
        replays.append(Replay(device, Traced()))
        return replays[-1]

    monkeypatch.setattr(step_module, "Replay", stand_in)
    run = recorded.steps()
    for step in run:
        if step.index == 11:
            before = recorded.train_step.model.network.head.weight.clone()
        if step.index == 12:
            assert not torch.equal(before, recorded.train_step.model.network.head.weight)
    assert len(replays) == 2  # one for each size of crops
    assert all(replay._recorded for replay in replays)
    assert recorded.history.entries == plain.history.entries
    assert same(plain, recorded)


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
    assert [step for step, _ in run.history.entries] == [10, 20, 30, 40]
    values = [v for _, means in run.history.entries for v in means.values()]
    assert all(map(math.isfinite, values))
    assert bool(run.balancer.factors.isfinite().all())


def test_a_run_without_finite_gradients_ends(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(photos)
    before = {k: v.clone() for k, v in run.train_step.model.network.state_dict().items()}
    original = TrainStep.forward

    def broken(self: TrainStep, batch: TrainBatch):  # type: ignore[no-untyped-def]
        return original(self, replace(batch, photos=batch.photos * float("nan")))

    monkeypatch.setattr(TrainStep, "forward", broken)
    with pytest.raises(CnnartError, match="Training broke down at step 10"):
        train(run)
    assert all(
        torch.equal(v, before[k]) for k, v in run.train_step.model.network.state_dict().items()
    )


def test_a_run_that_goes_bad_is_stopped(photos: Path) -> None:
    run = trainer(photos, steps=40, validate_every=4)
    for step in run.steps():
        if step.index == 16:
            break
    with torch.no_grad():
        for net in (run.train_step.model.network, run.train_step.ema.network):
            net.head.weight.zero_()
            net.head.weight.requires_grad_(False)
    run.train_step.optimizer.param_groups[0]["params"] = [
        p
        for p in run.train_step.optimizer.param_groups[0]["params"]
        if p is not run.train_step.model.network.head.weight
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


def test_a_run_of_another_device_goes_on_by_the_ways_of_this_one(photos: Path) -> None:
    """torch refuses to record the steps of an optimizer that was made without a card."""
    run = trainer(photos)
    run.run_step(1)
    state = run.train_step.state_dict()
    for group in state["optimizer"]["param_groups"]:
        group["capturable"] = True
    run.train_step.load_state_dict(state)
    assert not any(group["capturable"] for group in run.train_step.optimizer.param_groups)
    run.run_step(2)


@pytest.mark.gpu
def test_a_step_recorded_on_a_gpu_is_the_step(photos: Path) -> None:
    """For a few steps: from then on rounding alone leads two runs apart, recorded or not."""

    def lost(records: bool) -> tuple[Trainer, dict[str, float]]:
        run = trainer(photos, device="cuda", steps=20, size=128)
        run.train_step._records = records
        for index in range(1, 7):
            run.run_step(index)
        sums, count = run.train_step.read(6)
        assert count == 6
        return run, sums

    (_, plain), (recorded, replayed) = lost(False), lost(True)
    assert recorded.train_step._recorded is not None
    assert replayed == pytest.approx(plain, rel=0.02, abs=1e-4)


@pytest.mark.gpu
def test_nothing_in_a_step_waits_for_a_gpu(photos: Path) -> None:
    run = trainer(photos, device="cuda", steps=60, validate_every=20, small_crop_fraction=0)
    steps = run.steps()
    while run.index < 11:
        next(steps)
    torch.cuda.set_sync_debug_mode("error")
    try:
        while run.index < 19:
            next(steps)
    finally:
        torch.cuda.set_sync_debug_mode("default")
