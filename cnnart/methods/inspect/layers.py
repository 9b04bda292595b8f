"""A network's layers in a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from cnnart.errors import UsageError
from cnnart.methods.inspect.report import Inspection
from cnnart.networks.base import Network


@dataclass(frozen=True)
class LayerFacts:
    """One line of the table.

    ``receptive_field`` is in pixels; None: the whole picture. ``local``: see ``ReceptiveField``.
    ``shape`` is that of the layer's output for one picture, without the batch.
    """

    name: str
    kind: str
    channels: int
    stride: int | None
    receptive_field: int | None
    local: bool
    shape: list[int]


def describe_layers(network: Network, side: int) -> list[LayerFacts]:
    """Every layer of ``network``, with its output's shape for a picture of ``side`` x ``side``.

    Raises UsageError for a side at which a layer would have no unit.
    """
    names = list(network.geometry)
    least = network.smallest_side(names)
    if side < least:
        raise UsageError(f"{side} pixels are too few for {network.name}: {least} at least.")
    image = torch.zeros(1, 3, side, side, device=network.device)
    with torch.no_grad():
        try:
            found = network(image, names)
        except RuntimeError as error:  # a transformer takes one size only
            reason = str(error).splitlines()[0]
            raise UsageError(f"{network.name} cannot take {side} x {side} ({reason}).") from error
    return [_facts(network, name, list(found[name].shape[1:])) for name in names]


def _facts(network: Network, name: str, shape: list[int]) -> LayerFacts:
    field = network.receptive_field(name)
    whole = not field.local and field.stride == field.size
    return LayerFacts(
        name,
        network.kind(name),
        network.geometry[name].channels,
        None if whole else field.stride,
        None if whole else field.size,
        field.local,
        shape,
    )


def layers_report(network: Network, side: int, rows: list[LayerFacts]) -> Inspection:
    """The table as a page, which has no pictures."""
    facts = {"network": network.name, "sha256": network.sha256, "size": side}
    title = f"Layers of {network.name}, for a picture of {side} x {side}"
    return Inspection(title, [], {**facts, "layers": [asdict(row) for row in rows]})
