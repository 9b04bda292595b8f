"""``cnnart rerun``: a record turned back into the command that made its picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnart.errors import CnnartError, reason
from cnnart.run.record import RecordedFiles, not_for_this_version
from cnnart.version import __version__


def recorded_command(name: str) -> Any:
    """The command that records call by this name; None if this version has none."""
    if name == "stylize":
        from cnnart.commands.stylize import Stylize

        return Stylize
    if name == "texture":
        from cnnart.commands.texture import Texture

        return Texture
    if name == "dream":
        from cnnart.commands.dream import Dream

        return Dream
    if name == "flight":
        from cnnart.commands.flight import Flight

        return Flight
    if name == "noise":
        from cnnart.commands.visualize import FromNoise

        return FromNoise
    if name == "sheet":
        from cnnart.commands.visualize import LayerSheet

        return LayerSheet
    if name == "fast-stylize":
        from cnnart.commands.fast_stylize import FastStylize

        return FastStylize
    return None


class Rerun:
    """The command of a recorded picture, and its photo: None if it was made from nothing.

    Args:
        record: from ``read_record_of``.
        path: of the picture it was in.
        photo: given anew, it replaces the one that the record names.
        inputs: further folders to look for files in.
        anew: further inputs given anew, as the command's ``from_record`` takes them.

    ``warnings`` tells what does not fit any more. Raises CnnartError for a file that is nowhere, a
    damaged record, or one that this version cannot run.
    """

    def __init__(
        self,
        record: Mapping[str, Any],
        path: Path,
        *,
        photo: str | None = None,
        inputs: Sequence[Path] = (),
        **anew: Any,
    ) -> None:
        command = recorded_command(record["command"])
        if command is None:
            raise not_for_this_version(path, record)
        files = RecordedFiles(path.parent, inputs)
        self.warnings = files.warnings
        if (made_by := record.get("cnnart")) != __version__:
            self.warnings.append(f"made by cnnart {made_by}, this is {__version__}: it may differ.")
        try:
            self.photo = photo
            if photo:
                files.compare(record["photo"], Path(photo))
            elif record["photo"]:
                self.photo = str(files.find(record["photo"], "--photo FILE"))
            self.command = command.from_record(record, files, **anew)
        except CnnartError:
            raise
        # Anything may stand in a record that somebody else has written.
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
            raise CnnartError(
                f"The record is damaged and cannot be run again ({reason(error)})."
            ) from None
