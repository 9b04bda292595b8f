"""What a user asks about, in words; needs no torch, so that wrong usage is told at once."""

from __future__ import annotations

from dataclasses import dataclass

from cnnart.errors import UsageError


@dataclass(frozen=True)
class Asked:
    """A class (by name, index or WordNet id), or a channel of a layer.

    What is None is left to the picture: the likeliest class, the layer's most active channel.
    Raises UsageError for a combination that makes no sense.
    """

    named: str | None = None
    layer: str | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.named is not None and self.layer is not None:
            raise UsageError("--class and --layer ask for two different things: give one of them.")
        if self.channel is not None and self.layer is None:
            raise UsageError("--channel needs --layer: the layer whose channel is meant.")
