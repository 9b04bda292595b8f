"""Maximally activating patches: what in a folder of pictures activates a channel most.

As in Zeiler and Fergus 2014 and Girshick et al. 2014: the network runs over every picture, and for
each channel the places of its highest activations are kept. What is cut out there is exactly the
unit's receptive field. Only places are kept, no pixels, so the memory it takes does not
depend on the number of pictures; those that won are read once more in the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.image.picture import resize
from cnnart.methods.inspect.config import PatchesConfig
from cnnart.methods.inspect.filters import enlarged
from cnnart.methods.inspect.pictures import Failures, Item, Progress, shrunk, stream
from cnnart.methods.inspect.report import Inspection
from cnnart.methods.inspect.target import check_finite
from cnnart.networks.base import Network, ReceptiveField

PAD_VALUE = 0.5  # gray: what lies beyond the picture's border
CHANNELS = 16  # of a layer that are shown unless asked
CELL = (72, 160)  # the smallest and the largest side of a patch on the sheet


@dataclass(frozen=True)
class Place:
    """A unit that fires: how strongly, in which picture of the list, and where in its layer."""

    activation: float
    picture: int
    row: int
    column: int


class TopPatchSearch:
    """The strongest activations of some channels over a list of pictures.

    Args:
        network: with the receptive fields of its layers.
        config: see ``PatchesConfig``.

    ``best`` maps each channel to its places so far, strongest first. Raises UsageError for a layer
    or channels that the network does not have.
    """

    def __init__(self, network: Network, config: PatchesConfig) -> None:
        self.network = network
        self.config = config
        self.layer = config.layer or default_layer(network)
        network.check_layers([self.layer])
        self.field = network.receptive_field(self.layer)
        if not self.field.local:
            raise UsageError(f"The units of {self.layer} see whole pictures: name a layer of maps.")
        self.channels = known_channels(network, self.layer, config.channels)
        self.best: dict[int, list[Place]] = {c: [] for c in self.channels}
        self.failures = Failures()
        self.done = 0

    def search(self, items: Sequence[Item]) -> Iterator[Progress]:
        """Go through ``items``, those already ``done`` left out; yields after each picture."""
        for item, image in stream(items[self.done :], self.failures):
            if image is not None:
                self._look(image, item.name)
            del image  # before the next is read
            self.done += 1
            yield Progress(self.done, len(items), item.name)

    def _look(self, image: Tensor, name: str) -> None:
        image = self.prepared(image)
        height, width = image.shape[-2:]
        least = self.network.smallest_side([self.layer])
        if min(height, width) < least:
            self.failures.add(name, f"{width}x{height} is too small, {self.layer} needs {least}.")
            return
        with torch.no_grad():
            found = self.network(image, [self.layer])[self.layer][0].float().cpu()
        check_finite(self.network, found, f"The activations at {self.layer}")
        for index, row, column, value in peaks(found[list(self.channels)], self.config.per_picture):
            self._keep(self.channels[index], Place(value, self.done, row, column))

    def _keep(self, channel: int, place: Place) -> None:
        best = self.best[channel]
        if len(best) == self.config.top and place.activation <= best[-1].activation:
            return
        best.append(place)
        best.sort(key=lambda p: -p.activation)  # stable: of equal ones the earlier stays in front
        del best[self.config.top :]

    def prepared(self, image: Tensor) -> Tensor:
        """A picture as the network is given it: not larger than the config says."""
        return shrunk(image, self.config.size).to(self.network.device)

    def crops(self, items: Sequence[Item]) -> dict[int, list[Tensor]]:
        """The patches of every channel (``1x3xSxS`` each, strongest first); reads the winners.

        Gray stands for what lies beyond a picture's border.
        """
        wanted: dict[int, list[tuple[int, int, Place]]] = {}
        for channel, places in self.best.items():
            for rank, place in enumerate(places):
                wanted.setdefault(place.picture, []).append((channel, rank, place))
        found: dict[tuple[int, int], Tensor] = {}
        for number in sorted(wanted):
            image = self.prepared(items[number].read()).cpu()
            for channel, rank, place in wanted[number]:
                found[channel, rank] = crop_field(image, self.field, place.row, place.column)
            del image  # before the next is read
        return {c: [found[c, r] for r in range(len(p))] for c, p in self.best.items()}

    def state(self, items: Sequence[Item]) -> dict[str, Any]:
        """What ``restore`` needs to go on from here, as JSON."""
        return {
            "settings": self._settings(),
            "done": self.done,
            "pictures": digest(items[: self.done]),
            "failures": self.failures.found,
            "best": [[c, [list(asdict(p).values()) for p in b]] for c, b in self.best.items()],
        }

    def restore(self, state: dict[str, Any], items: Sequence[Item]) -> bool:
        """Go on from a state; False, and nothing changes, if it is of other pictures.

        Raises UsageError if it is of other settings, or damaged.
        """
        try:
            return self._restore(state, items)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise UsageError(
                f"What the unfinished run has left is damaged ({type(error).__name__}): begin anew "
                "with `restart`."
            ) from None

    def _restore(self, state: dict[str, Any], items: Sequence[Item]) -> bool:
        if state["settings"] != self._settings():
            old, new = dict(state["settings"]), self._settings()
            names = ", ".join(
                f"{k} {old.get(k)}, now {new[k]}" for k in new if old.get(k) != new[k]
            )
            raise UsageError(
                f"An unfinished run had other settings ({names}): finish it with those, "
                "or begin anew with `restart`."
            )
        if state["done"] > len(items) or state["pictures"] != digest(items[: state["done"]]):
            return False
        failures = [(str(name), str(why)) for name, why in state["failures"]]
        best = {
            c: [Place(float(strength), *map(int, place)) for strength, *place in places]
            for c, places in state["best"]
        }
        if set(best) != set(self.channels) or state["done"] < 0:
            raise ValueError
        if any(not 0 <= place.picture < state["done"] for each in best.values() for place in each):
            raise ValueError
        self.done, self.failures.found, self.best = state["done"], failures, best
        return True

    def _settings(self) -> dict[str, Any]:
        facts = asdict(self.config) | {"layer": self.layer, "channels": list(self.channels)}
        dtype = str(self.network.dtype).removeprefix("torch.")
        return {
            "network": self.network.name,
            "weights": self.network.sha256,
            **facts,
            "dtype": dtype,
        }


def known_channels(network: Network, layer: str, wanted: Iterable[int] | None) -> tuple[int, ...]:
    """The channels, each once; None: the first. UsageError for one that the layer does not have."""
    count = network.geometry[layer].channels
    if wanted is None:
        return tuple(range(min(CHANNELS, count)))
    for channel in wanted:
        if not 0 <= channel < count:
            raise UsageError(f"{layer} has no channel {channel}: it has 0 to {count - 1}.")
    return tuple(dict.fromkeys(wanted))


def peaks(maps: Tensor, count: int) -> Iterator[tuple[int, int, int, float]]:
    """Up to ``count`` peaks of each map (``Cxhxw``): (map, row, column, value), strongest first.

    A peak is not smaller than any of its eight neighbors.
    """
    width = maps.shape[-1]
    if count > 1:
        around = F.max_pool2d(maps[None], 3, stride=1, padding=1)[0]
        maps = maps.masked_fill(maps < around, -torch.inf)
    flat = maps.flatten(1)
    if count == 1:
        order = flat.argmax(1, keepdim=True)
    else:  # a stable sort: of equal values the upper left one comes first
        order = flat.argsort(dim=1, descending=True, stable=True)[:, :count]
    values = flat.gather(1, order)
    for c, (places, heights) in enumerate(zip(order.tolist(), values.tolist(), strict=True)):
        for place, value in zip(places, heights, strict=True):
            if value > -torch.inf:
                yield c, place // width, place % width, value


def crop_field(image: Tensor, field: ReceptiveField, row: int, column: int) -> Tensor:
    """What unit (row, column) depends on in ``image``: ``1x3xSxS``, gray beyond the border."""
    top, left = row * field.stride - field.offset, column * field.stride - field.offset
    height, width = image.shape[-2:]
    result = torch.full((1, 3, field.size, field.size), PAD_VALUE, dtype=image.dtype)
    up, down = max(top, 0), min(top + field.size, height)
    near, far = max(left, 0), min(left + field.size, width)
    result[..., up - top : down - top, near - left : far - left] = image[..., up:down, near:far]
    return result


def digest(items: Iterable[Item]) -> str:
    """Changes when a name, a picture or the order changes."""
    text = hashlib.sha256()
    for item in items:
        text.update(f"{item.name}\0{item.stamp}\0".encode("utf-8", "surrogateescape"))
    return text.hexdigest()


def default_layer(network: Network) -> str:
    """The deepest ReLU (or else convolution) whose units depend on a part of the picture only."""
    local = [name for name in network.geometry if network.receptive_field(name).local]
    for kind in ("relu", "conv"):
        if found := [name for name in local if network.kind(name) == kind]:
            return found[-1]
    raise UsageError(
        f"{network.name} has no ReLU or convolution that sees only a part of the picture: name "
        "another `layer`."
    )


def patches_report(search: TopPatchSearch, items: Sequence[Item]) -> Inspection:
    """The patches on a sheet, a row for each channel, and where they are from.

    Raises CnnartError if there are none, ImageError if a picture is no longer there.
    """
    if not any(search.best.values()):
        raise CnnartError("Not one of the pictures could be used.")
    crops = search.crops(items)
    cells: list[tuple[str, Tensor]] = []
    blank = torch.ones(1, 3, search.field.size, search.field.size)
    for channel, places in search.best.items():
        patches = [*crops[channel], *[blank] * (search.config.top - len(places))]
        labels = [f"{place.activation:.4g}" for place in places]
        labels = [*labels, *[""] * (len(patches) - len(labels))]
        labels[0] = f"{channel}: {labels[0]}"
        cells += zip(labels, map(in_cell, patches), strict=True)
    numbers = {
        "network": search.network.name,
        "layer": search.layer,
        "receptive_field": search.field.size,
        "pictures": search.done - len(search.failures.found),
        "failed": len(search.failures.found),
        "channels": {str(c): [_facts(search, items, p) for p in b] for c, b in search.best.items()},
    }
    title = f"{search.network.name} {search.layer}, of {numbers['pictures']} pictures"
    return Inspection(title, cells, numbers, columns=search.config.top)


def in_cell(patch: Tensor) -> Tensor:
    """A patch at a size to look at: small ones enlarged, their pixels square."""
    patch = enlarged(patch, CELL[0])
    return resize(patch, CELL[1], CELL[1]) if patch.shape[-1] > CELL[1] else patch


def _facts(search: TopPatchSearch, items: Sequence[Item], place: Place) -> dict[str, Any]:
    left, top = (at * search.field.stride - search.field.offset for at in (place.column, place.row))
    return {
        "picture": items[place.picture].name,
        "activation": place.activation,
        "unit": [place.column, place.row],
        "box": [left, top, left + search.field.size, top + search.field.size],
    }
