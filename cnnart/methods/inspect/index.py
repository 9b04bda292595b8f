"""The index of a folder: for each picture a feature vector and its pixels, kept between runs.

A ``Descriptor`` makes the two from a picture; an ``Index`` is one safetensors file. A picture is
described again only when its size or time of change differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cnnart.errors import CnnartError, UsageError, reason
from cnnart.files import open_file, write_atomically
from cnnart.image.picture import center_crop, resize
from cnnart.methods.inspect.pictures import Failures, Item, Progress, stream
from cnnart.methods.inspect.target import check_finite
from cnnart.networks.base import Network

FORMAT = "cnnart-index-1"
PIXELS = 32  # pictures are compared pixel by pixel at 32 x 32, as in CIFAR-10
SIDE, SHORT_SIDE = 224, 256  # of networks that do not say how they want their pictures

DAMAGED = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)

Describe = Callable[[Tensor], tuple[Tensor, Tensor]]  # picture -> features (D), pixels (P)


class Descriptor:
    """From a picture to the features of a layer (pooled over places) and to its pixels.

    Args:
        network: any; a classifier prepares pictures as it was trained on them.
        layer: whose activations count.

    Raises UsageError for a layer the network does not have.
    """

    def __init__(self, network: Network, layer: str) -> None:
        network.check_layers([layer])
        self.network = network
        self.layer = layer

    @property
    def made_with(self) -> dict[str, str]:
        """What the features depend on."""
        return {
            "network": self.network.name,
            "weights": self.network.sha256,
            "layer": self.layer,
            "precision": str(self.network.dtype).removeprefix("torch."),
        }

    def __call__(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features (``D``, float32, of length 1) and pixels (``3072``, uint8) of ``1x3xHxW``.

        Of length 1, so that pictures are compared by direction: contrast matters less.
        """
        with torch.no_grad():
            prepared = self._prepared(image.to(self.network.device))
            found = self.network(prepared, [self.layer])[self.layer].float()
        check_finite(self.network, found, f"The activations at {self.layer}")
        if found.ndim > 2:  # over the places of a map, or over tokens (BxNxC)
            found = found.mean((2, 3) if found.ndim == 4 else 1)
        pixels = (resize(image.cpu(), PIXELS, PIXELS) * 255).round().byte()
        return F.normalize(found.flatten(), dim=0).cpu(), pixels.flatten()

    def _prepared(self, image: Tensor) -> Tensor:
        if hasattr(self.network, "prepare"):
            prepared: Tensor = self.network.prepare(image)
            return prepared
        height, width = image.shape[-2:]
        scale = SHORT_SIDE / min(height, width)
        image = resize(image, max(SIDE, round(height * scale)), max(SIDE, round(width * scale)))
        return center_crop(image, SIDE, SIDE)


def last_layer(network: Network) -> str:
    """The layer whose features stand for a picture unless another is named.

    What the last linear layer, which tells the classes, takes in: 4,096 values in AlexNet and VGG,
    the pooled maps in later networks. Without one, the last layer.
    """
    names = [name for name in network.geometry if name != "logits"]
    if not names:
        raise UsageError(f"{network.name} has no layers: nothing in it computes a map.")
    linear = [name for name in names if network.kind(name) == "linear"]
    if linear and names[0] != linear[-1]:
        return names[names.index(linear[-1]) - 1]
    return names[-1]


@dataclass(frozen=True)
class Index:
    """What is known of a list of pictures.

    ``made_with``: the network, its weights and layer. ``features``: ``NxD`` float16, of length 1
    each; ``pixels``: ``NxP`` uint8; both on the CPU. ``stamps``: (bytes, time of change).
    """

    made_with: dict[str, str]
    names: list[str]
    stamps: list[tuple[int, int]]
    features: Tensor
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.names)


class IndexUpdate:
    """Brings an index up to date with a list of pictures.

    Args:
        items: the pictures that it is to hold, in this order.
        describe: from a picture to its rows; see ``Descriptor``.
        made_with: what ``describe`` is made of.
        old: an index of the same kind, or None.

    ``added``, ``changed`` and ``removed`` are names. Pictures that cannot be read are among the
    ``failures`` and not in the index.
    """

    def __init__(
        self,
        items: Sequence[Item],
        describe: Describe,
        made_with: dict[str, str],
        old: Index | None = None,
    ) -> None:
        self.items = items
        self.describe = describe
        self.made_with = made_with
        self.failures = Failures()
        self._old = old
        self._rows: dict[str, int] = {}
        known = {} if old is None else dict(zip(old.names, old.stamps, strict=True))
        if old is not None:
            numbers = {name: row for row, name in enumerate(old.names)}
            same = (item.name for item in items if known.get(item.name) == item.stamp)
            self._rows = {name: numbers[name] for name in same}
        self._new: dict[str, tuple[Tensor, Tensor]] = {}
        self.todo = [item for item in items if item.name not in self._rows]
        self.added = [item.name for item in self.todo if item.name not in known]
        self.changed = [item.name for item in self.todo if item.name in known]
        self.removed = sorted(set(known) - {item.name for item in items})

    def run(self) -> Iterator[Progress]:
        """Describe what is new or has changed; yields after each picture."""
        done = 0
        for item, image in stream(self.todo, self.failures):
            if image is not None:
                features, pixels = self.describe(image)
                self._new[item.name] = features.half(), pixels
            del image  # before the next is read
            done += 1  # noqa: SIM113, enumerate would hold the picture
            yield Progress(done, len(self.todo), item.name)

    @property
    def is_worth_keeping(self) -> bool:
        """Whether there is anything in it that the old one does not have."""
        return bool(self._new)

    def index(self) -> Index:
        """The index as far as it is ready: complete after ``run``.

        Raises CnnartError when not one picture could be read.
        """
        ready = [i for i in self.items if i.name in self._rows or i.name in self._new]
        if not ready:
            raise CnnartError("Not one of the pictures could be read; check the folder.")
        rows = [self._row(item.name) for item in ready]
        return Index(
            self.made_with,
            [item.name for item in ready],
            [item.stamp for item in ready],
            torch.stack([features for features, _ in rows]),
            torch.stack([pixels for _, pixels in rows]),
        )

    def _row(self, name: str) -> tuple[Tensor, Tensor]:
        if name in self._new:
            return self._new[name]
        assert self._old is not None
        row = self._rows[name]
        return self._old.features[row], self._old.pixels[row]


def write_index(path: Path, index: Index) -> None:
    """Write an index, whole or not at all. Raises CnnartError if it cannot be written."""
    sizes, times = zip(*index.stamps, strict=True)
    tensors = {
        "features": index.features.contiguous(),
        "pixels": index.pixels.contiguous(),
        "sizes": torch.tensor(sizes, dtype=torch.int64),
        "times": torch.tensor(times, dtype=torch.int64),
    }
    facts = {"format": FORMAT, "made_with": json.dumps(index.made_with)}
    data = save(tensors, {**facts, "names": json.dumps(index.names)})
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CnnartError(f"{path}: cannot write the index ({error.strerror or error}).") from error


def read_index(path: Path, made_with: dict[str, str]) -> Index | None:
    """The index in a file; None if there is no such file.

    Raises UsageError if the file is no index, or one of another network or layer.
    """
    if not path.exists():
        return None
    try:
        open_file(path).close()  # safetensors would wait for whoever writes into a pipe
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            if facts.get("format") != FORMAT:
                raise UsageError(f"{path}: this is not an index of cnnart; name another `index`.")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        found, names = json.loads(facts["made_with"]), json.loads(facts["names"])
        index = _checked(dict(found), names, tensors)
    except (SafetensorError, OSError, *DAMAGED) as error:
        raise UsageError(
            f"{path}: no index can be read from this file ({reason(error)}); "
            "delete it or name another `index`."
        ) from error
    if found != made_with:
        kind = f"{found.get('network')} {found.get('layer')}"
        raise UsageError(
            f"{path}: this index was made with {kind} ({_difference(found, made_with)}); "
            "name another `index`."
        )
    return index


def _checked(made_with: dict[str, str], names: list[str], tensors: dict[str, Tensor]) -> Index:
    """The index of these parts. Raises one of ``DAMAGED`` if they do not belong together."""
    features, pixels = tensors["features"].half(), tensors["pixels"]
    stamps = list(zip(tensors["sizes"].tolist(), tensors["times"].tolist(), strict=True))
    fits = features.ndim == pixels.ndim == 2 and pixels.dtype == torch.uint8
    rows = {len(names), len(set(names)), len(stamps), len(features), len(pixels)}
    if not fits or len(rows) != 1 or not all(isinstance(name, str) for name in names):
        raise ValueError("its parts do not fit together")
    return Index(made_with, names, stamps, features, pixels)


def _difference(found: dict[str, str], expected: dict[str, str]) -> str:
    parts = (
        f"{key} {str(found.get(key))[:12]}, not {value[:12]}"
        for key, value in expected.items()
        if found.get(key) != value
    )
    return "; ".join(parts)
