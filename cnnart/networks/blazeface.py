"""BlazeFace: faces with six points each (Bazarevsky et al. 2019, arXiv:1907.05047), embedded.

MediaPipe's "short range" model. A square of 128 px is looked at once; 896 anchors in it each give a
score, a box and six points. It sees faces from about a tenth of the square's side on; so that small
ones are found, too, a photo is looked at in squares of several sizes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cnnart.image.picture import resize
from cnnart.networks.same_convolution import SameConv2d
from cnnart.weights.embedded import embedded_module

NAME = "blazeface"
SIDE = 128  # of the square it was trained on
STEM = 24
# channels out and stride of each block; after the eleventh and the last anchors are read
BLOCKS = (
    (24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1),
    (88, 1), (96, 2), (96, 1), (96, 1), (96, 1), (96, 1),
)  # fmt: skip
FINE, COARSE = 2, 6  # anchors at each place of the 16 x 16 and of the 8 x 8 map
VALUES = 16  # of an anchor: center, size, six points, all as (x, y)

POINTS = ("right eye", "left eye", "nose", "mouth", "right ear", "left ear")  # the person's own

LEAST_SCORE = 0.7  # in the square around the whole photo; the faces of animals reach 0.6
# Sides of the other squares, of the photo's short side, and the least score in them: many squares
# have more chances to be wrong.
PARTS = ((1.0, 0.75), (0.5, 0.75), (0.25, 0.9))
SAME_BOX = 0.3  # boxes that overlap by more (intersection over union) are averaged
SAME_FACE = 0.5  # a box of which more lies in a surer one is that face, seen less well
BATCH = 32

# The ellipse of a face: half axes and the shift up, of the box, which ends at the brows.
WIDE, TALL, UP = 0.62, 0.84, 0.14
SOFT = 0.35  # how far the ellipse fades out, of its half axes


@dataclass(frozen=True)
class Face:
    """``box``: left, top, right, bottom in pixels of the photo, which it may leave at the border.

    ``points``: (x, y) of the six ``POINTS``. ``score``: in [0, 1].
    """

    box: tuple[float, float, float, float]
    points: tuple[tuple[float, float], ...]
    score: float


class Block(nn.Module):
    """A depthwise convolution and one across channels, added to what goes in."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.depthwise = SameConv2d(inputs, inputs, 3, stride, depthwise=True)
        self.project = nn.Conv2d(inputs, outputs, 1)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(x))
        x = F.max_pool2d(x, 2) if self.stride == 2 else x
        return (F.pad(x, (0, 0, 0, 0, 0, self.more)) + y).relu()


class BlazeFace(nn.Module):
    """``Bx3x128x128`` in [-1, 1] -> scores ``Bx896`` (logits), values ``Bx896x16`` in pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, STEM, 5, 2)
        blocks, inputs = [], STEM
        for outputs, stride in BLOCKS:
            blocks.append(Block(inputs, outputs, stride))
            inputs = outputs
        self.fine, self.coarse = nn.Sequential(*blocks[:11]), nn.Sequential(*blocks[11:])
        between = BLOCKS[10][0]
        self.fine_scores = nn.Conv2d(between, FINE, 1)
        self.coarse_scores = nn.Conv2d(inputs, COARSE, 1)
        self.fine_values = nn.Conv2d(between, FINE * VALUES, 1)
        self.coarse_values = nn.Conv2d(inputs, COARSE * VALUES, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        fine = self.fine(self.stem(x).relu())
        coarse = self.coarse(fine)
        scores = _rows([self.fine_scores(fine), self.coarse_scores(coarse)], 1)
        values = _rows([self.fine_values(fine), self.coarse_values(coarse)], VALUES)
        return scores[..., 0], values


def _rows(maps: list[Tensor], columns: int) -> Tensor:
    """Maps as TensorFlow lays them out: place by place, anchor by anchor."""
    rows = [m.permute(0, 2, 3, 1).reshape(len(m), -1, columns) for m in maps]
    return torch.cat(rows, 1)


@functools.cache
def anchors() -> Tensor:
    """``896x2``: the center (x, y) of each anchor, in pixels of the network's square."""
    found = []
    for places, count in ((16, FINE), (8, COARSE)):
        y, x = torch.meshgrid(*[(torch.arange(places) + 0.5) * SIDE / places] * 2, indexing="ij")
        found.append(torch.stack((x, y), -1).view(-1, 2).repeat_interleave(count, 0))
    return torch.cat(found)


@torch.no_grad()
def find_faces(photo: Tensor, device: torch.device | str = "cpu") -> list[Face]:
    """The faces in a photo (``1x3xHxW`` in [0, 1]), the surest first.

    Raises WeightsError where the network's file is damaged.
    """
    device = torch.device(device)
    squares = looked_at(photo.shape[-2], photo.shape[-1])
    rows: list[Tensor] = []  # score, left, top, right, bottom, six points
    for start in range(0, len(squares), BATCH):
        some = squares[start : start + BATCH]
        pictures = torch.cat([square_of(photo, *square[:3]) for square in some])
        scores, values = embedded_module(BlazeFace, NAME, device)(2 * pictures.to(device) - 1)
        scores, values = scores.sigmoid().cpu(), values.float().cpu()
        for (top, left, side, least), score, value in zip(some, scores, values, strict=True):
            found = score >= least
            points = value[found].view(-1, VALUES // 2, 2)
            points[:, 2:] += anchors()[found, None]
            center, half = points[:, 0] + anchors()[found], points[:, 1] / 2
            corners = torch.stack((center - half, center + half, *points[:, 2:].unbind(1)), 1)
            corners = corners * (side / SIDE) + torch.tensor([left, top])
            rows.append(torch.cat((score[found, None], corners.flatten(1)), 1))
    return [_face(group) for group in _groups(torch.cat(rows))]


def looked_at(height: int, width: int) -> list[tuple[int, int, int, float]]:
    """The squares (top, left, side) in which a photo is looked at, each with the least score there:
    around all of it, and along it, overlapping by a quarter. So a face that a square cuts is either
    whole in its neighbor or large enough for larger squares."""
    whole = max(height, width)
    found = [((height - whole) // 2, (width - whole) // 2, whole, LEAST_SCORE)]
    for part, least in PARTS:
        side = round(min(height, width) * part)
        if side < SIDE // 4 or (part == 1 and whole < 1.25 * side):
            continue
        rows, columns = (_starts(extent, side) for extent in (height, width))
        found += [(top, left, side, least) for top in rows for left in columns]
    return found


def _starts(extent: int, side: int) -> list[int]:
    count = 1 + math.ceil((extent - side) / (0.75 * side))
    return [round(n * (extent - side) / max(1, count - 1)) for n in range(count)]


def square_of(photo: Tensor, top: int, left: int, side: int) -> Tensor:
    """``1x3x128x128``: a square of a photo, black where it leaves the photo."""
    rows, columns = (slice(max(0, s), s + side) for s in (top, left))
    part = photo[:, :, rows, columns]
    sides = [max(1, round(n * SIDE / side)) for n in part.shape[-2:]]
    before = [round(max(0, -s) * SIDE / side) for s in (top, left)]
    after = [max(0, SIDE - b - s) for b, s in zip(before, sides, strict=True)]
    part = resize(part, *sides, mode="bilinear")
    return F.pad(part, (before[1], after[1], before[0], after[0]))[..., :SIDE, :SIDE]


def _groups(rows: Tensor) -> list[Tensor]:
    """Rows of one face each, the surest first."""
    left = rows[rows[:, 0].argsort(descending=True)]
    found = []
    while len(left):
        common, union, smaller = overlap(left[0, 1:5], left[:, 1:5])
        found.append(left[common >= SAME_BOX * union])
        left = left[common < SAME_FACE * smaller]
    return found


def overlap(box: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Areas of one box (4) with each of several (Nx4): common, of both together, of the smaller."""
    corner = torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])
    common = corner.clamp_min(0).prod(1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return common, area + areas - common, torch.minimum(area, areas)


def _face(rows: Tensor) -> Face:
    """One face from what several anchors say of it, each by its score (the paper, section 3.4)."""
    values = (rows[:, :1] * rows[:, 1:]).sum(0) / rows[:, 0].sum()
    left, top, right, bottom, *points = values.tolist()
    pairs = tuple(zip(points[::2], points[1::2], strict=True))
    return Face((left, top, right, bottom), pairs, float(rows[0, 0]))


def face_ellipses(faces: Sequence[Face], height: int, width: int) -> Tensor:
    """``1x1xHxW``: 1 within the ellipse of each face, turned as its eyes are, fading out around."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    mask = torch.zeros(height, width)
    for face in faces:
        left, top, right, bottom = face.box
        (x1, y1), (x2, y2) = face.points[:2]
        turn = math.atan2(y2 - y1, x2 - x1)
        cos, sin = math.cos(turn), math.sin(turn)
        up = UP * (bottom - top)
        center = ((left + right) / 2 + up * sin, (top + bottom) / 2 - up * cos)
        along = (x - center[0]) * cos + (y - center[1]) * sin
        across = (y - center[1]) * cos - (x - center[0]) * sin
        wide, tall = WIDE * (right - left), TALL * (bottom - top)
        far = ((along / max(wide, 1)) ** 2 + (across / max(tall, 1)) ** 2).sqrt()
        fade = ((1 + SOFT / 2 - far) / SOFT).clamp(0, 1)
        mask = torch.maximum(mask, fade * fade * (3 - 2 * fade))
    return mask[None, None]
