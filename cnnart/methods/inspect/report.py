"""What an inspection ends in: labelled pictures and the numbers behind them, as a page or JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from jinja2 import Environment, FileSystemLoader
from torch import Tensor

from cnnart.files import readable_values
from cnnart.image.write import to_pil

QUALITY = 88  # of the JPEG beneath a picture
READINGS = 64  # places along a page's picture whose values can be read
SMALL = 96  # a picture with a shorter side is shown enlarged, its pixels kept square
LONGEST_LIST = 12  # of the numbers shown; the JSON at the page's end has all


@dataclass(frozen=True)
class Beneath:
    """What lies beneath a cell's picture: on a page the reader fades from one to the other.

    ``photo``: ``1x3xhxw`` in [0, 1], of the picture's proportions. ``values``: ``hxw``, over all of
    it, which the page tells at the place that is pointed at; with ``names``, whole numbers that
    stand for them.
    """

    photo: Tensor
    values: Tensor | None = None
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Inspection:
    """The result of one inspection.

    Attributes:
        title: one line above the pictures.
        cells: (label, picture ``1x3xhxw`` in [0, 1]) pairs; a sheet needs at least one.
        numbers: plain values, lists and dicts, ready for JSON.
        columns: of the sheet; None: about as many as rows.
        beneath: of some cells, by their place in the list.
    """

    title: str
    cells: list[tuple[str, Tensor]]
    numbers: dict[str, Any] = field(default_factory=dict)
    columns: int | None = None
    beneath: Mapping[int, Beneath] = field(default_factory=dict)


@dataclass(frozen=True)
class NumberTable:
    """A table of a page: ``heads`` above the columns, if any; ``rows`` of plain values."""

    caption: str
    heads: list[str]
    rows: list[list[Any]]


def make_page(inspection: Inspection) -> str:
    """The page as text: the pictures inside it as PNG, the numbers as tables and as JSON."""
    columns = inspection.columns
    return render_page(
        "report.html",
        title=inspection.title,
        columns=f"repeat({columns}, 1fr)" if columns else "repeat(auto-fill, minmax(14rem, 1fr))",
        figures=[
            _figure(label, picture, inspection.beneath.get(place))
            for place, (label, picture) in enumerate(inspection.cells)
        ],
        readings=[_reading(inspection.beneath[place]) for place in sorted(inspection.beneath)],
        tables=number_tables("", inspection.numbers),
        numbers=json_values(inspection.numbers),
    )


def _figure(label: str, picture: Tensor, beneath: Beneath | None) -> dict[str, Any]:
    """A cell as the template wants it."""
    figure = {
        "label": label,
        "small": min(picture.shape[-2:]) < SMALL,
        "source": data_url(picture.expand(-1, 3, -1, -1), "PNG"),
    }
    if beneath is not None:
        photo = beneath.photo.cpu().expand(-1, 3, -1, -1)
        figure["beneath"] = data_url(photo, "JPEG", quality=QUALITY)
    return figure


def _reading(beneath: Beneath) -> dict[str, Any]:
    """The values of a page's picture, on a grid that is coarse enough to be written down."""
    values = beneath.values
    if values is None:
        return {}
    step = max(1, -(-max(values.shape) // READINGS))
    if beneath.names:  # a name cannot be averaged
        grid = values[step // 2 :: step, step // 2 :: step] if step > 1 else values
        return {"names": list(beneath.names), "values": grid.long().tolist()}
    shape = (max(1, values.shape[0] // step), max(1, values.shape[1] // step))
    grid = F.adaptive_avg_pool2d(values[None, None].float().cpu(), shape)[0, 0]
    return {"values": json_values([[float(f"{v:.3g}") for v in row] for row in grid.tolist()])}


def render_page(template: str, **values: Any) -> str:
    """One of the HTML templates beside this file, its values escaped.

    ``tojson`` writes data that no text within can end the script element of.
    """
    pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
    pages.filters["shown"] = shown_value
    pages.policies["json.dumps_kwargs"] = {}  # keys keep their order
    return pages.get_template(template).render(values)


def data_url(picture: Tensor, format: str, **options: Any) -> str:
    """A picture (``1x3xhxw``) inside a URL; ``format`` and ``options`` are Pillow's."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, format, **options)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/{format.lower()};base64,{data}"


def number_tables(caption: str, numbers: Mapping[str, Any]) -> list[NumberTable]:
    """One table of the single values, then one for each list of rows and each group below."""
    single = {k: v for k, v in numbers.items() if not isinstance(v, Mapping) and not _is_rows(v)}
    tables = [NumberTable(caption, [], [[k, v] for k, v in single.items()])] if single else []
    for name, value in numbers.items():
        where = f"{caption}, {name}" if caption else name
        if isinstance(value, Mapping):
            tables += number_tables(where, value)
        elif _is_rows(value):
            heads = list(dict.fromkeys(head for row in value for head in row))
            tables.append(NumberTable(where, heads, [[r.get(h) for h in heads] for r in value]))
    return tables


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def shown_value(value: Any) -> str:
    """A value of a table for people."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        more = ["..."] if len(value) > LONGEST_LIST else []
        return ", ".join([shown_value(v) for v in value[:LONGEST_LIST]] + more)
    return str(value)


def json_line(numbers: Mapping[str, Any]) -> str:
    """One line of JSON; NaN and infinities, which JSON does not know, become null."""
    return json.dumps(readable_values(json_values(numbers)), ensure_ascii=False, allow_nan=False)


def json_values(value: Any) -> Any:
    """``value`` with None in place of the numbers that JSON does not know, and keys as text."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
