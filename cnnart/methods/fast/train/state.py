"""A training checkpoint: where a run stands, as a file; enough to continue it bit for bit."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import Any

import torch

from cnnart.errors import CnnartError, UsageError, WeightsError
from cnnart.methods.fast.train.trainer import Trainer

FORMAT = 3


def save_state(trainer: Trainer) -> bytes:
    """The state of a run between two steps."""
    buffer = io.BytesIO()
    state = {"format": FORMAT, "settings": identity(trainer), "run": trainer.state_dict()}
    torch.save(state, buffer)
    return buffer.getvalue()


def restore_state(trainer: Trainer, data: bytes, name: str) -> None:
    """Put a run where the saved one stood; nothing in the data is executed.

    Raises UsageError for a run of other settings, WeightsError for data that is damaged or was
    written by another version.
    """
    try:
        state = _unpacked(data)
        if state.get("format") != FORMAT:
            raise WeightsError(
                f"{name}: this run was saved by another version of cnnart, and can only be "
                "continued there; begin anew without `resume`."
            )
        check_same(state["settings"], identity(trainer), name)
        trainer.load_state_dict(state["run"])
    except (CnnartError, MemoryError):
        raise
    except Exception as error:  # torch's reader, and what it makes, raise anything
        raise WeightsError(
            f"{name}: this saved run is damaged ({type(error).__name__}); remove it to begin anew."
        ) from None


def saved_batch(data: bytes) -> int:
    """The photos per step of a saved run; 1 for data that ``restore_state`` will refuse."""
    try:
        state = _unpacked(data)
        return int(state["settings"]["batch"])
    except Exception:
        return 1


def _unpacked(data: bytes) -> Any:
    """What ``save_state`` packed. Raises anything for other data; executes nothing of it."""
    with warnings.catch_warnings():  # torch warns about what is then refused anyway
        warnings.simplefilter("ignore")
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def identity(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a run to be continued."""
    photos = trainer.photos
    return {
        **trainer.config.recorded(),
        "styles": [s.name for s in trainer.styles],
        "paintings": [p.sha256 for p in trainer.paintings],
        "arbitrary": len(trainer.targets) - len(trainer.paintings),
        "photos": [p.name for p in (*photos.train, *photos.held_out)],
    }


def check_same(then: Mapping[str, Any], now: Mapping[str, Any], name: str) -> None:
    """Raise UsageError, naming them, for settings that are not as they were."""
    other = [key for key in now if then.get(key) != now[key]]
    if not other:
        return
    told = [
        f"{key} {then.get(key)!r}, now {now[key]!r}"
        if isinstance(now[key], int | float | str)
        else f"other {key.replace('_', ' ')}"
        for key in other[:3]
    ]
    raise UsageError(
        f"{name}: the saved run had {'; '.join(told)}. Give the same settings to continue it, or "
        "another `output` to begin anew."
    )
