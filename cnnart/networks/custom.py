"""A custom network: the user's own ``nn.Module``, named as ``module:function``."""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from cnnart.errors import UsageError, did_you_mean
from cnnart.networks.guest import broken, guest, told, undone
from cnnart.networks.imagenet import class_name
from cnnart.networks.module import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    LOGITS,
    ModuleNetwork,
    Preprocessing,
)

LARGEST = 4096  # input_size, in pixels
# From here on a mean or deviation is one of 0..255, not of 0..1.
LEVELS = 10


def custom_network(name: str, device: torch.device, dtype: torch.dtype) -> ModuleNetwork:
    """The ``nn.Module`` that ``module:function`` returns (or is), as a Network.

    It computes in ``dtype``, whatever it came in, without ``DataParallel`` and ``torch.compile``.
    How it wants its pictures is read from its attributes where it has them: ``mean``, ``std``
    (default: ImageNet's; one number each for a network that takes gray), ``input_size`` (224),
    ``resize``, ``classes`` (names). What it prints goes to standard error.
    Raises UsageError, in one line, for all that fails.
    """
    with undone:  # what it sets for itself lasts until it is made
        found = _call(name, _find(name))
    if not isinstance(found, nn.Module):
        kind = type(found).__name__
        article = "an" if kind[0] in "AEIOU" else "a"
        raise UsageError(f"{name} returned {article} {kind}, not a torch.nn.Module.")
    model = _unwrapped(found)
    _check_kind(name, model)
    with guest(f"{name} cannot be used"):
        facts = _Attributes(name, [model, found])
        network = OwnNetwork(
            name, model.float(), facts.preprocessing(_channels(model)), device=device, dtype=dtype
        )
        if not network.geometry:
            raise UsageError(f"{name} has no layers: nothing in it computes a map.")
        if network.is_classifier:
            network.classes = facts.classes(network.geometry[LOGITS].channels)
    return network


class OwnNetwork(ModuleNetwork):
    """A network whose code is not ours: what goes wrong in it is told as its own failure."""

    is_guest = True

    def with_dtype(self, dtype: torch.dtype) -> ModuleNetwork:
        network = super().with_dtype(dtype)
        network.classes = self.classes
        return network

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        found = super().__call__(image, layers)
        return {
            name: out if name == LOGITS else self._sound(out, image, name)
            for name, out in found.items()
        }

    def _running(self) -> AbstractContextManager[None]:
        return undone

    def _forward(self, x: Tensor) -> Any:
        with guest(f"{self.name} failed on a picture of {x.shape[-2]} x {x.shape[-1]}"):
            return self.model(x)

    def _sound(self, out: Tensor, image: Tensor, layer: str) -> Tensor:
        """``out``, fit for what is done with it. UsageError for what nothing can be made of."""
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            return out  # looked at before
        where = f"{self.name} returns" if layer == LOGITS else f"{layer} of {self.name} returns"
        if out.layout != torch.strided:
            raise UsageError(f"{where} a sparse tensor: make it dense there (to_dense()).")
        if out.is_complex():
            raise UsageError(f"{where} complex numbers: take their real part or their size there.")
        if layer == LOGITS and out.ndim and len(out) != len(image):
            raise UsageError(
                f"{where} {len(out)} rows of scores for {len(image)} pictures: return one for each."
            )
        if torch.is_grad_enabled() and image.requires_grad and not out.requires_grad:
            raise UsageError(
                f"{where} what has no gradient: it {self._without_gradient(out, image)}. Take that"
                " out of it; `cnnart inspect classify` and `cnnart inspect occlusion` need none."
            )
        return out.clone() if out.is_inference() else out  # made under inference_mode()

    def _without_gradient(self, out: Tensor, image: Tensor) -> str:
        """Why ``out`` does not lead back to ``image``, in a clause."""
        if out.is_inference():
            return "computes under torch.inference_mode()"
        if not out.is_floating_point():
            return f"rounds to {str(out.dtype).removeprefix('torch.')}"
        off: list[bool] = []
        handles = [
            part.register_forward_pre_hook(lambda *_: off.append(not torch.is_grad_enabled()))
            for part in self.model.modules()
        ]
        try:
            self._forward(self._normalized(image))
        finally:
            for handle in handles:
                handle.remove()
        if any(off):
            return "computes under torch.no_grad()"
        return "is cut off from the picture (detach(), .data, NumPy, no_grad(), or a constant)"


class _Attributes:
    """How a module wants its pictures, as it says itself. ``sources``: the first that has it."""

    def __init__(self, name: str, sources: list[nn.Module]) -> None:
        self._name, self._sources = name, sources

    def preprocessing(self, channels: int | None) -> Preprocessing:
        """``channels``: that the network takes, where it is known: 1 is gray."""
        mean = self._numbers("mean", (0.5,) if channels == 1 else IMAGENET_MEAN)
        std = self._numbers("std", (0.5,) if channels == 1 else IMAGENET_STD)
        for attribute, numbers in (("mean", mean), ("std", std)):
            if channels == 1 and len(numbers) == 3:
                raise self._wrong(attribute, "the network takes gray: give one number")
        if len(mean) != len(std) or channels not in (None, 1):  # one number is each color's
            mean, std = (v * (1 if len(v) == 3 else 3) for v in (mean, std))
        if min(std) <= 0:
            raise self._wrong("std", "no number in it may be 0 or less")
        if max(*mean, *std) >= LEVELS:
            mean, std = (tuple(v / 255 for v in values) for values in (mean, std))
        side = self._side("input_size", 224)
        return Preprocessing(mean, std, side, self._side("resize", round(side * 256 / 224)))

    def classes(self, count: int) -> list[str] | None:
        """A name for each of ``count`` outputs; None where the module has none."""
        found = self._get("classes")
        if found is None or (isinstance(found, int) and not isinstance(found, bool)):
            return None  # a number of classes names none
        if isinstance(found, Mapping):
            by_index = {_index(k): str(v) for k, v in found.items()}
            if None in by_index:
                by_index = {_index(v): str(k) for k, v in found.items()}
        elif isinstance(found, Iterable) and not isinstance(found, str | bytes | set | frozenset):
            by_index = dict(enumerate(map(str, found)))
        else:
            by_index = {None: ""}
        if None in by_index:
            raise self._wrong("classes", "give a list of names, or a dict from index to name")
        if by_index and max(by_index) >= count:  # type: ignore[type-var, operator]
            raise self._wrong("classes", f"it has names beyond the {count} outputs there are")
        return [by_index.get(n, class_name(None, n)) for n in range(count)] if by_index else None

    def _get(self, attribute: str) -> Any:
        """The attribute's value; None where there is none, or a method or layer of that name."""
        for source in self._sources:
            value = getattr(source, attribute, None)
            if value is not None and not (callable(value) and not isinstance(value, type)):
                return value.detach().cpu().tolist() if isinstance(value, Tensor) else value
        return None

    def _numbers(self, attribute: str, default: tuple[float, ...]) -> tuple[float, ...]:
        value = self._get(attribute)
        if value is None:
            return default
        numbers = list(_flat(value))
        if len(numbers) not in (1, 3):
            raise UsageError(
                f"A network's mean and std are three numbers, or one for gray, not {len(numbers)}."
            )
        if not all(isinstance(n, Real) and math.isfinite(n) for n in numbers):
            raise self._wrong(attribute, "give three numbers, or one for gray")
        return tuple(float(n) for n in numbers)

    def _side(self, attribute: str, default: int) -> int:
        value = self._get(attribute)
        if value is None:
            return default
        sizes = list(_flat(value))[-2:]  # of (channels, height, width) or (height, width)
        if not sizes or not all(isinstance(n, Real) and n == n // 1 for n in sizes):
            raise self._wrong(attribute, "give one whole number, the side of a square in pixels")
        if len(set(sizes)) > 1:
            raise self._wrong(attribute, "pictures are cropped to squares: give one number")
        if not 1 <= sizes[0] <= LARGEST:
            raise self._wrong(attribute, f"use 1 to {LARGEST} pixels")
        return int(sizes[0])

    def _wrong(self, attribute: str, what: str) -> UsageError:
        shown = " ".join(repr(self._get(attribute)).split())
        shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
        return UsageError(f"The attribute {attribute} of {self._name} is {shown}: {what}.")


def _flat(value: Any) -> Iterator[Any]:
    """The numbers in numbers, lists, tuples and arrays, however deep."""
    if hasattr(value, "tolist"):  # NumPy's and torch's
        value = value.tolist()
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
        for item in value:
            yield from _flat(item)
    else:
        yield None if isinstance(value, bool) else value  # True is not 1 here


def _index(value: Any) -> int | None:
    """An output's number: 3 or, from JSON, "3"; None for anything else."""
    value = next(_flat(value), None)
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and value >= 0 else None


def _find(name: str) -> Any:
    """What ``module:function`` names."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{name!r} is no network: write MODULE:FUNCTION, like my_nets:make_net.")
    plain = module_name.removesuffix(".py").replace("/", ".").replace("\\", ".").strip(".")
    if plain != module_name:
        raise UsageError(
            f"{module_name!r} is a file's name: write the module's, {plain}:{attribute}."
        )
    with contextlib.suppress(OSError):  # the current folder may have been deleted
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
    try:
        with told(f"{module_name} could not be imported", but=ModuleNotFoundError):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(
                f"No Python module {module_name!r}: it must be a file in this folder "
                f"({module_name}.py) or an installed package."
            ) from error
        raise broken(f"{module_name} could not be imported", error) from error
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, [n for n in vars(module) if not n.startswith("_")])
        raise UsageError(f"The module {module_name} has no {attribute!r}.{hint}")
    return getattr(module, attribute)


def _call(name: str, found: Any) -> Any:
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, not a function.")
    with told(f"{name}() failed"):
        return found()


def _unwrapped(model: nn.Module) -> nn.Module:
    """The module itself, without what spreads it over devices or compiles it."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, wrappers):
            model = model.module
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def _check_kind(name: str, model: nn.Module) -> None:
    """Raise UsageError for modules that have no layers to look at, no weights or no gradients."""
    tensors = [*model.parameters(), *model.buffers()]
    for path, part in model.named_modules():
        where = f"{name}'s {path}" if path else name
        if isinstance(part, torch.jit.ScriptModule):
            raise UsageError(
                f"{where} is a TorchScript module, whose layers cannot be reached: "
                "return the module before it is scripted or traced."
            )
        if "quantized" in type(part).__module__:
            raise UsageError(
                f"{where} is quantized, and has no gradients: return the network before that."
            )
    if any(is_lazy(t) for t in tensors):
        raise UsageError(
            f"{name} is not initialized (lazy modules): run it once on a picture, "
            "or load its weights, before returning it."
        )
    if any(t.is_meta for t in tensors):
        raise UsageError(
            f"{name} has no weights: they are on torch's meta device. "
            "Load them with load_state_dict(..., assign=True) before returning it."
        )


def _channels(model: nn.Module) -> int | None:
    """How many channels the first convolution takes; None without one."""
    return next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), None)
