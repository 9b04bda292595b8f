"""Running out of memory: smaller tiles, then a leaner optimizer, from the picture so far."""

import weakref

import pytest
import torch

from cnnart.errors import OutOfMemory, is_out_of_memory
from cnnart.methods.stylize import transfer as stylization
from cnnart.methods.stylize.config import StylizeConfig
from cnnart.methods.stylize.transfer import StyleTransfer
from cnnart.optim.memory import Limits, ResilientObjective, release_memory
from cnnart.optim.optimize import LBFGS
from cnnart.optim.regions import StyleImage
from cnnart.optim.steps import Evaluation

CPU_WORDS = "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"


def needs(most):
    """Objectives that run out of memory in tiles above ``most`` pixels, and without tiles."""
    made = []

    def make(tile):
        made.append(tile)

        def objective(image):
            if not 0 < tile <= most:
                raise RuntimeError(CPU_WORDS)
            return Evaluation({"style": float(tile)}, torch.zeros_like(image))

        return objective

    return make, made


def test_it_steps_down_until_it_fits_and_stays_there():
    make, made = needs(300)
    warnings = []
    objective = ResilientObjective(make, 0, 1000, warnings)
    image = torch.zeros(1, 3, 8, 8)
    assert objective(image).losses == {"style": 256.0}
    assert made == [0, 768, 512, 384, 256]
    assert warnings[-1] == "Out of memory: going on in tiles of 256 pixels."
    objective(image)
    assert made[-1] == 256
    assert len(made) == 5


def test_when_nothing_fits_it_says_so():
    objective = ResilientObjective(needs(0)[0], 0, 1000, [])
    with pytest.raises(OutOfMemory, match=r"even in tiles of 128 pixels: choose a smaller `size`"):
        objective(torch.zeros(1, 3, 8, 8))


def test_other_errors_pass():
    def make(tile):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        ResilientObjective(make, 0, 1000, [])(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError(CPU_WORDS),
        OutOfMemory("x"),
    ],
)
def test_running_out_of_memory_is_recognized(error):
    assert is_out_of_memory(error)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_run_goes_on_with_adam_when_the_history_does_not_fit(features, monkeypatch):
    """From the picture it had, and to the number of steps it promised."""
    remember, calls = LBFGS._remember, []

    def failing(self):
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError(CPU_WORDS)
        remember(self)

    monkeypatch.setattr(LBFGS, "_remember", failing)
    generator = torch.Generator().manual_seed(1)
    photo, style = torch.rand(2, 1, 3, 48, 48, generator=generator)
    run = StyleTransfer(
        photo, [StyleImage(style)], StylizeConfig(steps=8), features, limits=Limits(tile=0)
    )
    steps = list(run.steps())
    assert [s.index for s in steps] == list(range(1, 9))
    assert run.warnings == ["Out of memory: going on with Adam, which needs less."]
    assert sum(steps[-1].losses.values()) < sum(steps[0].losses.values())


def test_a_run_goes_on_in_tiles_when_the_whole_does_not_fit(features, monkeypatch):
    whole = stylization.PerceptualObjective

    def limited(*args, tile, **more):
        if tile == 0:
            raise MemoryError
        return whole(*args, tile=tile, **more)

    generator = torch.Generator().manual_seed(1)
    photo, style = torch.rand(2, 1, 3, 150, 140, generator=generator)
    config = StylizeConfig(steps=3)
    make = lambda: StyleTransfer(  # noqa: E731
        photo, [StyleImage(style)], config, features, limits=Limits(tile=0)
    )
    untiled = list(make().steps())[-1]
    monkeypatch.setattr(stylization, "PerceptualObjective", limited)
    run = make()
    tiled = list(run.steps())[-1]
    assert run.warnings == ["Out of memory: going on in tiles of 128 pixels."]
    assert (tiled.image - untiled.image).abs().mean() < 1e-3


def test_releasing_memory_is_safe_on_the_cpu():
    """And collects what only refers to itself, tensors included."""

    class Cycle:
        pass

    cycle = Cycle()
    cycle.itself, cycle.tensor = cycle, torch.zeros(3)
    gone = weakref.ref(cycle)
    del cycle
    release_memory(torch.device("cpu"))
    assert gone() is None
