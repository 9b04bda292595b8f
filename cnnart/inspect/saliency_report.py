"""Saliency maps side by side, with the masks and scores that were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from cnnart.inspect.attribution_scores import RankingScores, random_saliency, ranking_scores
from cnnart.inspect.heat import heat_colors, heat_over, to_unit
from cnnart.inspect.result import Inspection
from cnnart.inspect.saliency import SaliencyMaps
from cnnart.inspect.segment import mask_from_saliency
from cnnart.inspect.target import Target
from cnnart.inspect.view import View

RANDOM, RANDOM_MAPS = "random", 4
BACKDROP = 0.12  # how much of the photo is left outside a mask


@dataclass
class SaliencyReport:
    """The maps of one photo for one target; ``parts()`` computes them, a method at a time.

    Args:
        maps: makes the maps; view, target: what they are maps of.
        mask: cut the object out by each of them.
        score: rank each by deletion and insertion, and a random map beside them.
    """

    maps: SaliencyMaps
    view: View
    target: Target
    mask: bool = False
    score: bool = False
    _maps: dict[str, Tensor] = field(default_factory=dict)
    _masks: dict[str, Tensor] = field(default_factory=dict)
    _scores: dict[str, RankingScores] = field(default_factory=dict)

    def parts(self, methods: Sequence[str]) -> Iterator[str]:
        """Yields each method's name when it is done."""
        seen, seed = self.view.seen, self.maps.config.seed
        for method in dict.fromkeys(methods):
            found = self.maps(method).cpu()
            self._maps[method] = found
            if self.mask:
                self._masks[method] = mask_from_saliency(seen.cpu(), found, seed=seed)
            if self.score:
                self._scores[method] = ranking_scores(self.target.value, seen, found)
            yield method
        if self.score:
            self._maps[RANDOM], self._scores[RANDOM] = self._at_random(seed)

    def _at_random(self, seed: int) -> tuple[Tensor, RankingScores]:
        """A random map, and the mean scores of several."""
        seen = self.view.seen
        maps = [random_saliency(*seen.shape[-2:], seed=seed + n) for n in range(RANDOM_MAPS)]
        scores = [ranking_scores(self.target.value, seen, found) for found in maps]
        mean = RankingScores(
            sum(score.deletion for score in scores) / RANDOM_MAPS,
            sum(score.insertion for score in scores) / RANDOM_MAPS,
        )
        return maps[0], mean

    def result(self) -> Inspection:
        with torch.no_grad():
            value = float(self.target.value(self.view.seen))
        cells = [(f"{self.target.name}: {self.target.text(value)}", self.view.shown)]
        cells += [(self._label(name), self._picture(name)) for name in self._maps]
        columns = len(cells)
        if self.mask:
            blank = torch.ones_like(self.view.shown)
            masks = [
                (self._mask_label(name), cut_out(self.view.shown, self._masks[name]))
                if name in self._masks
                else ("", blank)
                for name in self._maps
            ]
            cells += [("", blank), *masks]
        numbers = {
            **self.target.facts(),
            "value": value,
            "methods": [self._numbers(name) for name in self._maps],
        }
        return Inspection(f"Saliency: {self.target.name}", cells, numbers, columns=columns)

    def _label(self, name: str) -> str:
        if name not in self._scores:
            return name
        scores = self._scores[name]
        return f"{name}\ndeletion {scores.deletion:.2f}, insertion {scores.insertion:.2f}"

    def _mask_label(self, name: str) -> str:
        return f"mask: {float(self._masks[name].mean()):.0%} of the picture"

    def _picture(self, name: str) -> Tensor:
        unit = to_unit(self._maps[name])
        coarse = name in ("grad-cam", RANDOM)
        return heat_over(self.view.shown, unit) if coarse else heat_colors(unit)

    def _numbers(self, name: str) -> dict[str, object]:
        found = self._maps[name][0, 0]
        y, x = divmod(int(found.argmax()), found.shape[1])
        top, left = self.view.in_photo(y + 0.5, x + 0.5)
        numbers: dict[str, object] = {"method": name, "peak": {"left": left, "top": top}}
        if name in self._scores:
            scores = self._scores[name]
            numbers |= {"deletion": scores.deletion, "insertion": scores.insertion}
        if name in self._masks:
            numbers["mask_share"] = float(self._masks[name].mean())
        return numbers


def cut_out(photo: Tensor, mask: Tensor) -> Tensor:
    """The photo, faded to white outside a mask (1x1xhxw, enlarged to the photo's size)."""
    size = (photo.shape[-2], photo.shape[-1])
    large = torch.nn.functional.interpolate(mask.to(photo), size=size, mode="bilinear")
    faded = 1 - BACKDROP * (1 - photo)
    return photo * large + faded * (1 - large)
