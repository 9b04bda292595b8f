"""Several pictures on one: a labelled contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from cnnart.image.picture import resize

GAP = 8  # pixels between cells, and around them
PAPER, INK = (255, 255, 255), (32, 32, 32)


def draw_sheet(
    cells: Sequence[tuple[str, Tensor]], columns: int | None = None, *, title: str = ""
) -> Tensor:
    """A sheet of labelled pictures, row by row.

    Args:
        cells: (label, picture ``1x3xhxw`` or ``1x1xhxw`` in [0, 1]) pairs, at least one. A picture
            smaller or larger than the first is scaled into the first one's size, its aspect kept.
            Labels may have several lines; a sheet whose labels are all empty has no room for them.
        columns: None: about as many as rows.
        title: a line above all.

    Returns ``1x3xHxW``, float32 in [0, 1], white between the pictures.
    """
    count = len(cells)
    columns = min(columns or math.ceil(math.sqrt(count)), count)
    height, width = cells[0][1].shape[-2:]
    text = ImageFont.load_default(size=max(10, min(20, width // 10)))
    head = ImageFont.load_default(size=max(12, min(28, width // 6)))
    labels = [fitted(label, text, width) for label, _ in cells]
    below = max(text_height(label, text) for label in labels)
    above = text_height(title, head)
    rows = math.ceil(count / columns)
    size = (
        GAP + columns * (width + GAP),
        GAP + above + rows * (height + below + GAP),
    )
    sheet = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        draw.text((GAP, GAP // 2), title, INK, head)
    for index, (label, (_, picture)) in enumerate(zip(labels, cells, strict=True)):
        row, column = divmod(index, columns)
        x, y = GAP + column * (width + GAP), GAP + above + row * (height + below + GAP)
        cell = as_pil(within(picture, height, width))
        sheet.paste(cell, (x + (width - cell.width) // 2, y + (height - cell.height) // 2))
        draw.multiline_text((x, y + height + 2), label, INK, text)
    pixels = torch.from_numpy(np.array(sheet))
    return pixels.permute(2, 0, 1)[None].float() / 255


def within(picture: Tensor, height: int, width: int) -> Tensor:
    """``picture`` scaled to fit into a size, if it has not that size."""
    h, w = picture.shape[-2:]
    if (h, w) == (height, width):
        return picture
    factor = min(height / h, width / w)
    return resize(picture, max(1, round(h * factor)), max(1, round(w * factor)))


def as_pil(picture: Tensor) -> Image.Image:
    pixels = (picture.detach()[0].clamp(0, 1) * 255).round().byte().cpu()
    return Image.fromarray(pixels.expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy())


def fitted(label: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """``label`` with each line cut off where it would run into the next cell."""
    lines = []
    for line in label.splitlines():
        while len(line) > 1 and font.getlength(line) > width:
            line = line.removesuffix("…")[:-1].rstrip() + "…"
        lines.append(line)
    return "\n".join(lines)


def text_height(text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> int:
    """Pixels to reserve for these lines: none for no text."""
    if not text:
        return 0
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font)
    return math.ceil(box[3]) + 6
