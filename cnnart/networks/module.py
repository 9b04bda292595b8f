"""Any torch module as a Network: its layers by their module paths, its classes as ``logits``."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cnnart.errors import UsageError, did_you_mean
from cnnart.image.picture import resize
from cnnart.networks.activations import ActivationCall, hearing_activations
from cnnart.networks.base import ReceptiveField
from cnnart.networks.receptive_field import LOGITS, discover_layers, scores_in, tensors_of

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GRAY = (0.2989, 0.587, 0.114)  # the luma that torchvision's networks for gray have seen


@dataclass(frozen=True)
class Preprocessing:
    """A network's preprocessing spec: how it wants its pictures, and what it calls its outputs.

    ``mean``, ``std``: of red, green and blue; one number each for a network that takes gray.
    ``input_size``: the square's side; ``resize``: the short side before it is cropped.
    """

    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    input_size: int = 224
    resize: int = 256
    interpolation: str = "bilinear"
    classes: list[str] | None = None


class _Enough(Exception):
    """Raised inside a forward pass when all wanted layers have been seen."""


class ModuleNetwork:
    """A frozen ``nn.Module`` in evaluation mode, on one device, in one precision.

    Args:
        name: for messages and records.
        model: takes ``Bx3xHxW`` normalized by ``preprocessing``; its parameters are frozen here.
        preprocessing: see there.
        sha256: of the weights; None: computed from the model's tensors.

    Its layers are its modules, by their paths, in the order in which they finish ("layer3.0.conv2",
    "inception4c", "features.4"), and the activations it calls as functions ("layer3.0.relu"); a
    network with one ``BxK`` output also has the layer "logits", so that activations and scores come
    from one pass. ``model`` is the module itself.

    Raises UsageError for a module that cannot take a picture.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        preprocessing: Preprocessing,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        sha256: str | None = None,
    ) -> None:
        self.name = name
        self.sha256 = sha256 or state_sha256(model)
        self.device, self.dtype = torch.device(device), dtype
        self.preprocessing = preprocessing
        self.input_size, self.resize = preprocessing.input_size, preprocessing.resize
        self.classes = preprocessing.classes
        model.eval()  # not chained: a module's own train() may return nothing
        model.requires_grad_(False)
        self.model = model
        self._layers = discover_layers(
            name, self.model, preprocessing.input_size, len(preprocessing.mean), self._running
        )
        self.model.to(self.device, dtype)
        if all(p.ndim in (1, 2, 4) for p in self.model.parameters()):
            self.model.to(memory_format=torch.channels_last)
        self.geometry = {name: layer.geometry for name, layer in self._layers.items()}
        self._mean = torch.tensor(preprocessing.mean, device=self.device).view(1, -1, 1, 1)
        self._std = torch.tensor(preprocessing.std, device=self.device).view(1, -1, 1, 1)

    def with_dtype(self, dtype: torch.dtype) -> ModuleNetwork:
        """The same network in another precision; what was rounded before stays so."""
        model = copy.deepcopy(self.model).float().cpu()  # as layer discovery wants it
        return type(self)(
            self.name,
            model,
            self.preprocessing,
            device=self.device,
            dtype=dtype,
            sha256=self.sha256,
        )

    @property
    def is_classifier(self) -> bool:
        """Whether there are ``logits``."""
        return LOGITS in self._layers

    def check_layers(self, layers: Iterable[str]) -> None:
        """Raise UsageError for a layer this network does not have."""
        for name in layers:
            if name not in self._layers:
                hint = did_you_mean(name, list(self._layers))
                raise UsageError(
                    f"{self.name} has no layer {name!r}.{hint}"
                    f" `cnnart inspect layers {self.name}` lists them."
                )

    def halo(self, layers: Iterable[str]) -> int:
        """Pixels around a region that its activations at these layers depend on."""
        return max(self.geometry[name].reach for name in layers)

    def smallest_side(self, layers: Iterable[str]) -> int:
        """The smallest picture side that gives at least one unit at each of these layers.

        Found by trying, without computing anything. Raises UsageError where the network fails on
        any picture.
        """
        wanted = list(layers)
        if not self._works(self.input_size, wanted):  # as far as that tells
            shape = (1, 3, self.input_size, self.input_size)
            with torch.no_grad():
                self(torch.zeros(shape, device=self.device), wanted)
            return self.input_size
        low, high = 0, self.input_size  # low fails, high works
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._works(middle, wanted) else (middle, high)
        return high

    def kind(self, layer: str) -> str:
        """What a layer does, in a word: the module's class in lower case, or a shorter word."""
        return self._layers[layer].kind

    def receptive_field(self, layer: str) -> ReceptiveField:
        """Which pixels a unit of ``layer`` sees; not ``local``: all of them, in part or only."""
        self.check_layers([layer])
        return self._layers[layer].field

    def __call__(self, image: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations at ``layers``; the pass ends with the deepest. See ``Network``."""
        wanted = list(layers)
        self.check_layers(wanted)
        with self._listening(self.model, wanted) as found, suppress(_Enough):
            found[LOGITS] = self._scores(image)
        for name in wanted:
            if name not in found:
                raise UsageError(
                    f"{self.name} came to another end: {name} was not reached as often as with a "
                    f"picture of {self.input_size} x {self.input_size}."
                )
        return {name: found[name] for name in wanted}

    def logits(self, image: Tensor) -> Tensor:
        """``BxK`` float32 for ``Bx3xSxS`` in [0, 1]. UsageError for a network without classes."""
        if not self.is_classifier:
            raise UsageError(f"{self.name} has no classes: take efficientnet-lite0 or resnet50.")
        return self._scores(image)

    def prepare(self, image: Tensor) -> Tensor:
        """``1x3xHxW`` resized (antialiased) and cropped at the center to the trained size."""
        side, short = self.input_size, min(image.shape[-2:])
        height, width = (int(max(self.resize, side) * n / short) for n in image.shape[-2:])
        small = resize(image, height, width, mode=self.preprocessing.interpolation)
        top, left = round((height - side) / 2), round((width - side) / 2)  # as torchvision rounds
        return small[..., top : top + side, left : left + side].clamp(0, 1)

    def _scores(self, image: Tensor) -> Tensor:
        """The whole pass: what the network returns, of several things its scores."""
        output = self._forward(self._normalized(image))
        scores = scores_in(output)
        if scores is None:
            raise UsageError(
                f"{self.name} returned a {type(output).__name__} without scores: let it return a "
                "tensor of them, alone, first or named logits."
            )
        return self._sound(scores, image, LOGITS).float()

    def _forward(self, x: Tensor) -> Any:
        return self.model(x)

    def _running(self) -> AbstractContextManager[Any]:
        """Around a pass through the module that is not ``_forward``'s."""
        return nullcontext()

    def _sound(self, out: Tensor, image: Tensor, layer: str) -> Tensor:
        """What a layer gives a picture, looked at."""
        return out

    def _normalized(self, image: Tensor) -> Tensor:
        if len(self.preprocessing.mean) == 1:
            weights = torch.tensor(GRAY, device=image.device).view(1, 3, 1, 1)
            image = (image * weights).sum(1, keepdim=True)
        return ((image - self._mean) / self._std).to(self.dtype)

    @contextmanager
    def _listening(self, model: nn.Module, wanted: list[str]) -> Iterator[dict[str, Tensor]]:
        """Hooks that fill the dict it yields, and end the pass when they have seen enough."""
        found: dict[str, Tensor] = {}
        left = {name: self._layers[name].calls for name in wanted}

        before: dict[int, int] = {}  # how often a tensor had been changed when a module got it

        def remember(module: nn.Module, inputs: tuple[object, ...]) -> None:
            before.update({id(x): _version(x) for x in inputs if isinstance(x, Tensor)})

        def was_changed(x: Tensor) -> bool:  # since a module got it
            known = before.pop(id(x), None)
            return known is not None and (x.is_inference() or _version(x) != known)

        def last_call(name: str) -> bool:  # of a module used several times the last output counts
            left[name] -= 1
            return left[name] == 0

        def note(name: str, out: Tensor) -> Tensor:
            """Keep ``out`` as it is now; return a copy, computed from it, to go on with."""
            found[name] = self._layers[name].as_map(out)
            if not any(left.values()):
                raise _Enough
            return self._layers[name].from_map(found[name]).clone()

        def listener(name: str):  # type: ignore[no-untyped-def]
            def hear(module: nn.Module, inputs: object, out: Tensor) -> Tensor | None:
                if not last_call(name):
                    return None
                if was_changed(out):
                    # It worked in place: whoever holds its input goes on with that.
                    return out.copy_(note(name, out.clone()))
                return note(name, out)

            return hear

        def hear_call(call: ActivationCall) -> Tensor:
            if call.layer not in functions or not last_call(call.layer):
                return call.plain()
            result = note(call.layer, call.apart())
            return call.x.copy_(result) if call.in_place else result

        modules = dict(model.named_modules())
        functions = {name for name in left if name != LOGITS and name not in modules}
        heard = [modules[name] for name in left if name in modules]
        handles = [
            *(module.register_forward_pre_hook(remember) for module in heard),
            *(modules[n].register_forward_hook(listener(n)) for n in left if n in modules),
        ]
        try:
            with hearing_activations(model, hear_call) if functions else nullcontext():
                yield found
        finally:
            for handle in handles:
                handle.remove()

    def _works(self, side: int, wanted: list[str]) -> bool:
        """Whether a picture of this side has a unit at each layer."""
        meta = {k: v.to("meta") for k, v in tensors_of(self.model).items()}
        shape = (1, len(self.preprocessing.mean), side, side)
        image = torch.empty(shape, device="meta", dtype=self.dtype)
        with torch.no_grad(), self._listening(self.model, wanted) as found:
            try:
                with suppress(_Enough), self._running():
                    output = functional_call(self.model, meta, (image,), tie_weights=False)
                    scores = scores_in(output)
                    if scores is not None:
                        found[LOGITS] = scores
            except BaseException as error:  # "Kernel size can't be greater than input", mostly
                if type(error) is KeyboardInterrupt:
                    raise
                return False
        return all(name in found and 0 not in found[name].shape for name in wanted)


def _version(x: Tensor) -> int:
    """How often it was changed in place; what inference_mode() made does not know."""
    return 0 if x.is_inference() else x._version


def state_sha256(model: nn.Module) -> str:
    """A checksum of a module's tensors and their names."""
    digest = hashlib.sha256()
    for name, tensor in tensors_of(model).items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
