"""What is asked about: a class or a channel in words, and the number that a network gives it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cnnart.errors import CnnartError, UsageError
from cnnart.methods.inspect.guided_backprop import activations_at
from cnnart.networks.base import Classifier, Network
from cnnart.networks.imagenet import class_index, class_name
from cnnart.networks.module import LOGITS


@dataclass(frozen=True)
class TargetQuery:
    """What to ask about, unresolved: a class by its name, index or WordNet id, or a channel.

    ``named``: the class; ``channel``: of ``layer``. What is None is left to the picture: the
    likeliest class, the layer's most active channel. Raises UsageError for a combination that makes
    no sense.
    """

    named: str | None = None
    layer: str | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.named is not None and self.layer is not None:
            raise UsageError("`class` and `layer` ask for two different things: give one of them.")
        if self.channel is not None and self.layer is None:
            raise UsageError("`channel` needs `layer`: the layer whose channel is meant.")


@dataclass(frozen=True)
class Target:
    """A number that a network gives a picture.

    name: for people. score: pictures Bx3xhxw -> B numbers to differentiate: a class's logit, a
    channel's mean activation. value: the same to look at: a class's probability, else the score.
    layer: where the number is read; channel: its index there, a class's in "logits".
    """

    name: str
    layer: str
    channel: int
    score: Callable[[Tensor], Tensor]
    value: Callable[[Tensor], Tensor]

    @property
    def is_class(self) -> bool:
        """Whether ``value`` is a probability."""
        return self.layer == LOGITS

    def facts(self) -> dict[str, Any]:
        """What it is, for the numbers of an inspection."""
        if self.is_class:
            return {"class": self.name, "index": self.channel}
        return {"layer": self.layer, "channel": self.channel}

    def text(self, value: float) -> str:
        """A value for people: a percentage, or the activation."""
        return percent(value) if self.is_class else f"{value:.3g}"


def class_target(network: Classifier, index: int) -> Target:
    """The class with this index."""
    return Target(
        class_name(network.classes, index),
        LOGITS,
        index,
        score=lambda pictures: logits_of(network, pictures)[:, index],
        value=lambda pictures: probabilities_of(network, pictures)[:, index],
    )


def unit_target(network: Network, layer: str, channel: int) -> Target:
    """A channel of a layer: its mean activation over the picture."""

    def score(pictures: Tensor) -> Tensor:
        found = activations_at(network, pictures, layer).float()
        values = found[..., channel] if found.ndim == 3 else found[:, channel]  # BxNxC: tokens
        return values.reshape(len(pictures), -1).mean(1)

    def value(pictures: Tensor) -> Tensor:
        with torch.no_grad():
            return check_finite(network, score(pictures), f"The activations at {layer}")

    return Target(f"{layer} channel {channel}", layer, channel, score=score, value=value)


def choose_target(network: Network, picture: Tensor, query: TargetQuery) -> Target:
    """The target of a query; ``picture``, the network's input, decides what is left open.

    Raises UsageError for a name or number the network does not have.
    """
    if query.layer is None:
        assert isinstance(network, Classifier)  # open_network(classifier=True) saw to it
        if query.named is not None:
            return class_target(network, find_class(network, query.named))
        return class_target(network, likeliest(network, picture, 1)[0][0])
    network.check_layers([query.layer])
    count = network.geometry[query.layer].channels
    channel = query.channel
    if channel is None:
        with torch.no_grad():
            activations = network(picture, [query.layer])[query.layer][0].float()
        channel = int(activations.flatten(1).mean(1).argmax())
    if channel >= count:
        raise UsageError(
            f"{query.layer} has {count} channels, 0 to {count - 1}: there is no {channel}."
        )
    return unit_target(network, query.layer, channel)


def find_class(network: Classifier, text: str) -> int:
    """The class that a name, an index or a WordNet id means. Raises UsageError."""
    return class_index(network.classes, text, network.geometry[LOGITS].channels)


def logits_of(network: Network, pictures: Tensor) -> Tensor:
    """BxK in float32, of pictures of the size the network takes."""
    return network(pictures, [LOGITS])[LOGITS]


def likeliest(network: Network, picture: Tensor, count: int = 3) -> list[tuple[int, float]]:
    """The (index, probability) of the likeliest classes of one picture, in order."""
    probabilities = probabilities_of(network, picture)[0]
    found = probabilities.topk(min(count, len(probabilities)))
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))


def last_map(network: Network) -> str:
    """The last layer of a classifier that still tells places apart. UsageError if none does."""
    whole = network.geometry[LOGITS].stride
    maps = [name for name, layer in network.geometry.items() if layer.stride < whole]
    if not maps:
        raise UsageError(
            f"Nothing in {network.name} tells places apart: no layer before its classes is a map."
        )
    return maps[-1]


def check_finite(network: Network, found: Tensor, what: str = "The gradients") -> Tensor:
    """``found`` again. Raises CnnartError for what are no finite numbers."""
    if not bool(found.isfinite().all()):
        raise CnnartError(
            f"{what} of {network.name} are not finite numbers (NaN or infinite): use `precision`"
            " fp32, or look in it for a division by 0, or a logarithm or root of 0."
        )
    return found


def probabilities_of(network: Network, pictures: Tensor) -> Tensor:
    """BxK, to look at. Raises CnnartError where scores are no numbers."""
    with torch.no_grad():
        return check_finite(network, logits_of(network, pictures).softmax(1), "The scores")


def percent(probability: float) -> str:
    """A probability for people: 95.5%, 2.4%, 0.041%."""
    if probability < 1e-6:
        return "< 0.0001%"
    return f"{100 * probability:.{3 if probability >= 0.1 else 2}g}%"
