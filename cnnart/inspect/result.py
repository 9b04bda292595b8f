"""What an inspection ends in: labelled pictures and the numbers behind them, delivered."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnart.errors import ImageError, UsageError
from cnnart.jobs.files import identity
from cnnart.jobs.naming import WRITABLE, check_writable

if TYPE_CHECKING:
    from torch import Tensor

PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Inspection:
    """The result of one inspection.

    Attributes:
        title: one line above the pictures.
        cells: (label, picture ``1x3xhxw`` in [0, 1]) pairs, at least one.
        numbers: plain values, lists and dicts, ready for JSON.
        columns: of the sheet; None: about as many as rows.
    """

    title: str
    cells: list[tuple[str, Tensor]]
    numbers: dict[str, Any] = field(default_factory=dict)
    columns: int | None = None


def check_output(output: str, inputs: Iterable[Path | str] = (), *, json: bool = False) -> None:
    """Refuse an output that ``deliver`` could not write; called before the work.

    Raises UsageError for a suffix that is neither a picture's nor .html, for an input that would
    be overwritten, for a place where nothing can be written, and for ``-`` together with ``json``.
    """
    if output == "-":
        if json:
            raise UsageError("--json and -o - both want standard output: give -o a file.")
        return
    path = Path(output)
    if path.suffix.lower() not in (*WRITABLE, *PAGES):
        raise UsageError(
            f"{output!r} names no kind of file: end it in .png, .jpg, .webp, .tiff or .html."
        )
    for given in inputs:
        if identity(Path(given)) == identity(path):
            raise UsageError(
                f"The result would overwrite the input {str(given)!r}: choose another -o."
            )
    check_writable(path)


def deliver(
    inspection: Inspection, output: str, json: bool = False, inputs: Iterable[Path | str] = ()
) -> None:
    """Write the sheet (or, for .html, one page that needs no other file) and say where it is.

    The output's path goes to standard output; with ``json``, instead of it, the numbers and
    ``"output"`` as one line of JSON, the last. ``-`` writes the sheet to standard output as PNG.
    ``inputs`` are never overwritten. Raises as ``check_output`` does, and ImageError.
    """
    from cnnart.image import draw_sheet, write_image

    check_output(output, inputs, json=json)
    if Path(output).suffix.lower() in PAGES:
        from cnnart.inspect.page import make_page

        _write_page(Path(output), make_page(inspection))
    else:
        sheet = draw_sheet(inspection.cells, inspection.columns, title=inspection.title)
        write_image(sys.stdout.buffer if output == "-" else output, sheet)
    if json:
        print(json_line({**inspection.numbers, "output": output}))
    elif output != "-":
        print(output)


def _write_page(path: Path, page: str) -> None:
    from cnnart.image.writing import write_atomically

    try:
        write_atomically(path, page.encode("utf-8"))
    except OSError as error:
        why = error.strerror or error
        raise ImageError(f"{path}: cannot write the page ({why}).") from error


def json_line(numbers: dict[str, Any]) -> str:
    """One line of JSON; NaN and infinities, which JSON does not know, become null."""
    return json_format.dumps(_finite(numbers), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
