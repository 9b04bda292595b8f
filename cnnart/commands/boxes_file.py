"""Boxes around the objects of photos, in a small text file that any spreadsheet writes."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from cnnart.errors import UsageError, reason

if TYPE_CHECKING:
    from cnnart.methods.inspect.localize import Truth

HEADS = ("photo", "left", "top", "right", "bottom", "class")
FORM = "photo,left,top,right,bottom or photo,left,top,right,bottom,class"


def read_boxes(path: Path) -> dict[str, list[Truth]]:
    """The boxes of each photo, by its name, from comma-separated lines.

    A line is ``photo,left,top,right,bottom``, in pixels of the upright photo, and perhaps its
    ``class``; a photo may have several lines. Passed over are empty lines, those that begin with
    #, and a first line of these words. Raises UsageError for a file that cannot be read, that
    holds no box, and for a line of another form, by its number.
    """
    from cnnart.methods.inspect.boxes import Box
    from cnnart.methods.inspect.localize import Truth

    found: dict[str, list[Truth]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            for row in rows:
                cells = [cell.strip() for cell in row]
                if not any(cells) or cells[0].startswith("#") or _is_head(cells):
                    continue
                corners = _corners(cells)
                if corners is None:
                    raise UsageError(
                        f"{path}, line {rows.line_num}: no box; write {FORM}, in pixels, with left "
                        "before right and top before bottom."
                    )
                label = cells[5] if len(cells) > 5 and cells[5] else None
                name = Path(cells[0]).as_posix()
                found.setdefault(name, []).append(Truth(Box(*corners), label))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UsageError(f"{path}: the boxes cannot be read ({reason(error)}).") from error
    if not found:
        raise UsageError(f"{path} holds no box: write a line for each photo, {FORM}.")
    return found


def _is_head(cells: list[str]) -> bool:
    return [cell.casefold() for cell in cells] == list(HEADS[: len(cells)])


def _corners(cells: list[str]) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom; None if these cells are no box."""
    if len(cells) not in (5, 6) or not cells[0]:
        return None
    try:
        left, top, right, bottom = (float(cell) for cell in cells[1:5])
    except ValueError:
        return None
    fits = 0 <= left < right < float("inf") and 0 <= top < bottom < float("inf")
    return (left, top, right, bottom) if fits else None
