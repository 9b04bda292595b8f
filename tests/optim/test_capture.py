"""Evaluations and steps that are recorded once and replayed, and that no host waits for."""

import gc
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cnnart.networks.vgg import FeatureExtractor
from cnnart.optim.capture import (
    WARM_UP,
    CudaRecorder,
    Replay,
    ReplayedObjective,
    recording_stream,
    replayed,
)
from cnnart.optim.color import PaletteLoss
from cnnart.optim.objective import PerceptualObjective, Region, Weights
from cnnart.optim.optimize import LBFGS, optimize_image, optimizer_factory
from cnnart.optim.steps import Evaluation
from cnnart.optim.tiles import gather_moments
from cnnart.settings import OPTIMIZERS
from tests.helpers.replays import OperationRecorder, recording
from tests.helpers.waits import META, Elsewhere

CPU = torch.device("cpu")
STYLE = {"relu1_1": 1.0, "relu3_1": 0.5}
WEIGHTS = Weights(1.0, 3.0, 2.0, 0.1, 0.5, {"relu2_2": 1.0}, STYLE)
AXES = torch.linspace(1, 30, 60)


def objective_of(tiny, photo_of, painting_of, *, masked=False, on=CPU, **settings):
    features = FeatureExtractor(tiny, device=on)
    painting = painting_of().to(on)
    targets = gather_moments(features, painting, list(STYLE), 0)
    mask = None
    if masked:
        mask = torch.linspace(0, 1, 144, device=on).expand(1, 1, 96, 144).contiguous()
    region = Region(targets, PaletteLoss([(painting, 1.0)], mask), mask)
    photo = photo_of(96, 144).to(on)
    return PerceptualObjective(features, photo, [region], WEIGHTS, **settings)


CASES = [
    {},
    {"masked": True},
    {"tile": 48, "masked": True},
    {"tile": 32, "wrap": (True, True)},
]


@pytest.mark.parametrize("case", CASES)
def test_a_replayed_objective_is_the_objective(tiny, photo_of, painting_of, case):
    objective = objective_of(tiny, photo_of, painting_of, **case)
    recorder = OperationRecorder()
    repeated = ReplayedObjective(objective, Replay(CPU, recorder))
    rng = torch.Generator().manual_seed(0)
    for _ in range(WARM_UP + 3):
        image = objective.photo + 0.1 * torch.randn(objective.photo.shape, generator=rng)
        before = image.clone()
        found, expected = repeated(image), objective(image)
        assert torch.equal(image, before)
        assert found.losses == pytest.approx(expected.losses, rel=1e-5)
        torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-4, atol=1e-7)
    assert recorder.replays == 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_replayed_lbfgs_is_lbfgs(dtype):
    """Until its history has been written over twice: nothing in it depends on the host."""
    goal = torch.linspace(0.2, 0.7, 60)
    pictures = torch.full((2, 60), 0.9)
    plain, replayed = (LBFGS(x, history=4, dtype=dtype) for x in pictures)
    recorder = OperationRecorder()
    replayed._replay = Replay(CPU, recorder)
    for index in range(14):
        sign = -1 if index == 8 else 1  # the gradient of step 8 shows no curvature
        for engine in (plain, replayed):
            engine.step(sign * 2 * AXES * (engine.x - goal))
        # A sum in another order may round a remembered value to the next one in bfloat16.
        tolerance = 1e-5 if dtype == torch.float32 else 1e-3
        torch.testing.assert_close(plain.x, replayed.x, rtol=1e-4, atol=tolerance)
    assert recorder.replays == 14 - 1 - WARM_UP


def test_a_replayed_run_is_the_run(tiny, photo_of, painting_of, monkeypatch):
    objective = objective_of(tiny, photo_of, painting_of)
    make = optimizer_factory("lbfgs")
    start = painting_of(96, 144)
    *_, (expected, image) = optimize_image(start.clone(), objective, 8, make)
    monkeypatch.setattr("cnnart.optim.optimize.evaluations_ahead", lambda device: 1)
    recorders = recording(monkeypatch)
    *_, (losses, other) = optimize_image(start.clone(), replayed(objective, CPU), 8, make)
    assert losses == pytest.approx(expected, rel=1e-3)
    assert (image - other).abs().mean() < 1e-3
    assert [r.replays for r in recorders] == [8 - WARM_UP, 7 - WARM_UP]


class Broken:
    """A recorder on which recording fails."""

    def __init__(self, error):
        self.error = error

    def run(self, function):
        return function()

    def record(self, function):
        raise self.error


def test_what_cannot_be_recorded_is_called_as_before():
    calls = []
    replay = Replay(CPU, Broken(RuntimeError("operation not permitted when stream is capturing")))
    for count in range(1, WARM_UP + 4):
        assert replay(lambda: calls.append(1) or len(calls)) == count
    assert not replay.records


def test_what_waits_in_each_evaluation_is_not_recorded(tiny, photo_of, painting_of, monkeypatch):
    recorders = recording(monkeypatch)
    objective = objective_of(tiny, photo_of, painting_of, statistic="wasserstein")
    assert replayed(objective, CPU) is objective
    objective = objective_of(tiny, photo_of, painting_of, statistic="gram")
    assert isinstance(replayed(objective, CPU), ReplayedObjective)
    assert len(recorders) == 2


def test_without_memory_for_a_recording_it_goes_on_without():
    """A recording has memory of its own; what fits without one need not go into tiles."""
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    replay = Replay(CPU, Broken(error))
    assert [replay(lambda: "computed") for _ in range(WARM_UP + 1)] == ["computed"] * 3
    assert not replay.records

    def too_large():
        raise error

    with pytest.raises(RuntimeError, match="out of memory"):  # so that it goes on in tiles
        replay(too_large)


def test_the_last_recording_gives_its_memory_back_before_the_next(fake_cuda, monkeypatch):
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: fake_cuda.append("given back"))
    objective = replayed(lambda image: Evaluation({}, image), torch.device("cuda"))
    assert isinstance(objective, ReplayedObjective)
    assert fake_cuda == ["given back"]


class Stream:
    """A fake of torch.cuda's that notes what waits for what."""

    current, made, waits = "the default", 0, []

    def __init__(self, device):
        Stream.made += 1

    def wait_stream(self, other):
        Stream.waits.append((self, other))


@pytest.fixture
def fake_cuda(monkeypatch):
    """torch.cuda's streams and graphs: as torch 2.14's, a recording that cannot end leaves its
    stream the current one.
    """
    events = []
    monkeypatch.setattr(Stream, "made", 0)
    monkeypatch.setattr(Stream, "current", Stream("cuda"))

    @contextmanager
    def stream(chosen):
        before, Stream.current = Stream.current, chosen
        try:
            yield
        finally:
            Stream.current = before

    class Graph:
        def replay(self):
            events.append("replayed")

    class Recording:
        def __init__(self, graph, stream, capture_error_mode):
            assert capture_error_mode == "thread_local"
            self.stream = stream

        def __enter__(self):
            self.before, Stream.current = Stream.current, self.stream

        def __exit__(self, kind, error, traceback):
            if kind:
                raise RuntimeError("operation failed due to a previous error during capture")
            Stream.current = self.before

    for name, fake in {
        "Stream": Stream,
        "stream": stream,
        "current_stream": lambda device: Stream.current,
        "CUDAGraph": Graph,
        "graph": Recording,
    }.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    recording_stream.cache_clear()
    yield events
    recording_stream.cache_clear()


def test_a_card_records_on_a_stream_of_its_own(fake_cuda):
    device, before = torch.device("cuda"), Stream.current
    first, second = CudaRecorder(device), CudaRecorder(device)
    assert first.stream is second.stream  # each would keep work space of its own for good
    assert first.stream is not before
    waited = []
    before.wait_stream = lambda other: waited.append((before, other))
    first.stream.wait_stream = lambda other: waited.append((first.stream, other))
    assert first.run(lambda: Stream.current) is first.stream
    # It goes on from what was asked for before, and what is asked for then goes on from it.
    assert waited == [(first.stream, before), (before, first.stream)]
    result, replay = first.record(lambda: (Stream.current, gc.isenabled()))
    assert result == (first.stream, False)
    assert (Stream.current, gc.isenabled()) == (before, True)
    replay()
    assert fake_cuda == ["replayed"]


def test_a_failed_recording_gives_the_stream_back(fake_cuda):
    def waits():
        raise RuntimeError("operation not permitted when stream is capturing")

    device, before = torch.device("cuda"), Stream.current
    replay = Replay(device)
    assert replay.records
    results = [replay(lambda: Stream.current) for _ in range(WARM_UP)]
    assert before not in results
    seen = []

    def function():
        seen.append(Stream.current)
        if Stream.current is not before:
            waits()
        return "computed"

    assert replay(function) == "computed"
    assert seen[-1] is before
    assert gc.isenabled()
    assert not replay.records


def test_on_the_cpu_nothing_is_recorded():
    replay = Replay(CPU)
    assert not replay.records
    assert [replay(lambda n=n: n) for n in range(5)] == list(range(5))


class Waiting(AssertionError):
    """The host asked for a number that the device has to compute first."""


class NoWaits(TorchDispatchMode):
    """Fails at the operations that make the host wait for a device, or send it host memory."""

    FORBIDDEN = (
        "_local_scalar_dense",  # item(), float(), int(), bool()
        "nonzero",
        "masked_select",
        "bincount",
        "_unique2",
        "equal",
        "lift_fresh",  # torch.tensor(...)
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        indices = args[1] if name.startswith("index_put") or name == "index" else ()
        by_mask = any(t is not None and t.dtype == torch.bool for t in indices)
        if name in self.FORBIDDEN or by_mask:
            raise Waiting(name)
        return func(*args, **(kwargs or {}))


@contextmanager
def no_waits(monkeypatch):
    def refuse(self, *args, **kwargs):
        raise Waiting

    with monkeypatch.context() as patch:
        for name in ("tolist", "cpu", "numpy"):
            patch.setattr(torch.Tensor, name, refuse)
        with NoWaits():
            yield


@pytest.mark.parametrize(
    "wait", [float, bool, int, lambda t: t.item(), lambda t: t.tolist(), torch.nonzero]
)
def test_waits_are_noticed(monkeypatch, wait):
    with no_waits(monkeypatch), pytest.raises(Waiting):
        wait(torch.ones(()) + 1)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("statistic", ["gram", "covariance"])
def test_an_evaluation_does_not_wait(monkeypatch, tiny, photo_of, painting_of, case, statistic):
    objective = objective_of(tiny, photo_of, painting_of, **case)
    objective.statistic = statistic
    image = 0.9 * objective.photo
    with no_waits(monkeypatch):
        evaluation = objective(image)
        evaluation.values()
    assert all(value > 0 for value in evaluation.losses.values())


@pytest.mark.parametrize("case", [{"masked": True}, {"tile": 96, "wrap": (True, True)}])
def test_an_evaluation_and_a_step_stay_on_the_device(tiny, photo_of, painting_of, case):
    with Elsewhere() as elsewhere:
        objective = objective_of(tiny, photo_of, painting_of, on=META, **case)
        x = objective.photo.clone()
        engine = LBFGS(x)
        for count in range(3):
            evaluation = objective(x)
            evaluation.values()
            engine.step(evaluation.gradient)
            elsewhere.strict = count == 0  # what is made at the first call may wait


@pytest.mark.parametrize(
    "mistake",
    [
        lambda x: x + torch.ones(3),
        lambda x: float(x.sum()),
        lambda x: x.cpu(),
        lambda x: torch.ones(3).to(META),
        lambda x: x.copy_(torch.ones(3)),
        lambda x: x[x > 0],
    ],
)
def test_what_a_card_would_not_bear_is_noticed(mistake):
    with Elsewhere() as elsewhere:
        x = torch.ones(3, device=META)
        elsewhere.strict = True
        x.copy_(torch.ones(3).to(META, non_blocking=True), non_blocking=True)
        with pytest.raises((AssertionError, NotImplementedError)):  # the latter is torch's own
            mistake(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_does_not_wait(monkeypatch, optimizer, dtype):
    x = torch.full((60,), 0.9)
    engine = optimizer_factory(optimizer, dtype)(x, 1.0)
    with no_waits(monkeypatch):
        for _ in range(4):
            engine.step(2 * AXES * (x - 0.5))
    assert (x - 0.5).abs().max() < 0.4


def test_a_run_waits_for_nothing_but_its_losses(monkeypatch):
    """Read as one vector, one evaluation late."""
    monkeypatch.setattr("cnnart.optim.optimize.evaluations_ahead", lambda device: 1)
    evaluations, read = [], []

    class Told:
        def __init__(self, names, values):
            self.names, self.values = names, values

        def read(self):
            read.append(len(evaluations))
            *values, total, moved = self.values.tolist()
            return dict(zip(self.names, values, strict=True)), total, bool(moved)

    def bowl(image):
        evaluations.append(1)
        with NoWaits():
            loss = (AXES * (image - 0.5).square()).sum()
            return Evaluation({"bowl": loss, "floor": torch.ones(())}, 2 * AXES * (image - 0.5))

    def of(names, values, total, moved):
        return Told(names, torch.cat((values, torch.stack((total, moved.to(total))))))

    monkeypatch.setattr("cnnart.optim.optimize.Reading.of", of)
    x = torch.full((60,), 0.9)
    assert len(list(optimize_image(x, bowl, 6, optimizer_factory("lbfgs")))) == 6
    assert read == [2, 3, 4, 5, 6, 6]


@pytest.mark.gpu
def test_a_graph_computes_what_the_calls_do(vgg, photo_of, painting_of):
    on = torch.device("cuda")
    objective = objective_of(vgg, photo_of, painting_of, masked=True, on=on)
    replay = Replay(on)
    repeated = ReplayedObjective(objective, replay)
    rng = torch.Generator().manual_seed(0)
    for _ in range(WARM_UP + 3):
        noise = torch.randn(objective.photo.shape, generator=rng).to(on)
        image = objective.photo + 0.1 * noise
        found, expected = repeated(image), objective(image)
        assert found.losses == pytest.approx(expected.losses, rel=1e-4)
        torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-3, atol=1e-6)
    assert replay.records


@pytest.mark.gpu
@pytest.mark.parametrize("tile", [0, 48])
def test_cuda_agrees_that_nothing_waits(vgg, photo_of, painting_of, tile):
    on = torch.device("cuda")
    objective = objective_of(vgg, photo_of, painting_of, masked=True, tile=tile, on=on)
    x = objective.photo.clone()
    engine = LBFGS(x)
    for _ in range(WARM_UP + 2):  # what libraries do once may wait
        engine.step(objective(x).gradient)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(3):
            evaluation = objective(x)
            evaluation.values()
            engine.step(evaluation.gradient)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("masked", [False, True])
def test_two_runs_on_a_card_are_the_same_bytes(vgg, photo_of, painting_of, masked):
    on, pictures = torch.device("cuda"), []
    for _ in range(2):
        objective = objective_of(vgg, photo_of, painting_of, masked=masked, on=on)
        repeated = replayed(objective, on)
        start = objective.photo.clone()
        *_, (_, image) = optimize_image(start, repeated, 30, optimizer_factory("lbfgs"))
        pictures.append(image.cpu())
    assert torch.equal(*pictures)
