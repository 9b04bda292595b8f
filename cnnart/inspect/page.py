"""An inspection as one HTML page that needs no other file."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from cnnart.image import to_pil
from cnnart.inspect.result import json_line

if TYPE_CHECKING:
    from torch import Tensor

    from cnnart.inspect.result import Inspection

SMALL = 96  # a picture with a shorter side is shown enlarged, its pixels kept square
LONGEST_LIST = 12  # of the numbers shown; the JSON at the page's end has all

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }}
h1 {{ font-size: 1.4rem; white-space: pre-line; }}
.cells {{ display: grid; gap: 1rem; grid-template-columns: {columns}; align-items: start; }}
figure {{ margin: 0; }}
img {{ max-width: 100%; display: block; }}
img.small {{ width: 100%; max-width: 16rem; image-rendering: pixelated; }}
figcaption {{ white-space: pre-line; margin-top: .3rem; }}
table {{ border-collapse: collapse; margin: 1.5rem 0; }}
caption {{ text-align: left; font-weight: 600; padding-bottom: .3rem; }}
th, td {{ text-align: left; padding: .15rem 1rem .15rem 0; border-bottom: 1px solid #ddd; }}
td {{ font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
<div class="cells">
{figures}
</div>
{tables}
<script type="application/json" id="numbers">{json}</script>
</body>
</html>
"""


def make_page(inspection: Inspection) -> str:
    """The page as text: the pictures inside it as PNG, the numbers as tables and as JSON."""
    columns = inspection.columns
    return PAGE.format(
        title=escape(inspection.title),
        columns=f"repeat({columns}, 1fr)" if columns else "repeat(auto-fill, minmax(14rem, 1fr))",
        figures="\n".join(_figure(label, picture) for label, picture in inspection.cells),
        tables="\n".join(_tables("", inspection.numbers)),
        json=json_line(inspection.numbers).replace("<", "\\u003c"),  # no "</script>" inside it
    )


def _figure(label: str, picture: Tensor) -> str:
    buffer = io.BytesIO()
    to_pil(picture.expand(-1, 3, -1, -1)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    kind = ' class="small"' if min(picture.shape[-2:]) < SMALL else ""
    return (
        f'<figure><img{kind} alt="{escape(label)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(label)}</figcaption></figure>"
    )


def _tables(caption: str, numbers: Mapping[str, Any]) -> list[str]:
    """One table of the single values, then one for each list of rows and each group below."""
    single = {k: v for k, v in numbers.items() if not isinstance(v, Mapping) and not _is_rows(v)}
    tables = [_table(caption, None, single.items())] if single else []
    for name, value in numbers.items():
        where = f"{caption}, {name}" if caption else name
        if isinstance(value, Mapping):
            tables += _tables(where, value)
        elif _is_rows(value):
            heads = list(dict.fromkeys(head for row in value for head in row))
            tables.append(_table(where, heads, [[row.get(h) for h in heads] for row in value]))
    return tables


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _table(caption: str, heads: Sequence[str] | None, rows: Any) -> str:
    head = "".join(f"<th>{escape(str(h))}</th>" for h in heads or ())
    body = "".join(
        f"<tr>{''.join(f'<td>{_text(value)}</td>' for value in row)}</tr>\n" for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}{f'<tr>{head}</tr>' if head else ''}\n{body}</table>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        more = ["..."] if len(value) > LONGEST_LIST else []
        return ", ".join([_text(v) for v in value[:LONGEST_LIST]] + more)
    return escape(str(value))
