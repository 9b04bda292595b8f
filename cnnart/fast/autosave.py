"""Where a training run stands, as a file: enough to continue it bit for bit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from cnnart.errors import UsageError, WeightsError
from cnnart.fast.header import read_facts
from cnnart.fast.progress import History
from cnnart.fast.trainer import Trainer, settings_of

KIND = "cnnart-training"


def save_state(trainer: Trainer) -> bytes:
    """The state of a run between two steps."""
    tensors: dict[str, Tensor] = {}
    networks = {
        "now": trainer.learner.network.state_dict(),
        "average": trainer.learner.average.state_dict(),
    }
    if trainer.validator.best_weights is not None:
        networks["best"] = trainer.validator.best_weights
    for kind, state in networks.items():
        tensors |= {f"{kind}/{key}": value for key, value in state.items()}
    for index, values in trainer.learner.optimizer.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{key}": value for key, value in values.items()}
    tensors |= {"balance/factors": trainer.balance.factors, "balance/seen": trainer.balance.seen}
    tensors |= {"units/style": trainer.balance.units.style}
    tensors |= {"units/palette": trainer.balance.units.palette}
    validator = trainer.validator
    facts = {
        "settings": identity(trainer),
        "index": trainer.index,
        "total": trainer.total,
        "until": trainer.balance.until,
        "seconds": trainer.seconds,
        "pieces": trainer.learner.pieces,
        "history": trainer.history.as_json(),
        "validation": validator.history,
        "best": [validator.best, validator.best_step, validator.bad],
        "scaler": trainer.learner.scaler.state_dict(),
    }
    copied = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    return save_tensors(copied, {KIND: json.dumps(facts)})


def identity(trainer: Trainer) -> dict[str, Any]:
    """What must be the same for a run to be continued."""
    photos = trainer.photos
    return {
        **settings_of(trainer.config),
        "styles": [s.name for s in trainer.styles],
        "paintings": [p.sha256 for p in trainer.paintings],
        "photos": [p.name for p in (*photos.train, *photos.held_out)],
    }


def restore_state(trainer: Trainer, data: bytes, name: str) -> None:
    """Put a run where the saved one stood. Raises UsageError for one of other settings."""
    facts = read_facts(data, name, KIND)
    check_same(facts["settings"], identity(trainer), name)
    try:
        tensors = {k: v.to(trainer.device) for k, v in load_tensors(data).items()}
        _restore_weights(trainer, tensors)
        trainer.index, trainer.total = facts["index"], facts["total"]
        trainer.balance.until, trainer.seconds = facts["until"], facts["seconds"]
        trainer.learner.pieces = facts["pieces"]
        trainer.history = History.from_json(facts["history"])
        validator = trainer.validator
        validator.history = facts["validation"]
        validator.best, validator.best_step, validator.bad = facts["best"]
        trainer.learner.scaler.load_state_dict(facts["scaler"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"{name}: this saved run is damaged ({type(error).__name__}); remove it to begin anew."
        ) from None


def _restore_weights(trainer: Trainer, tensors: Mapping[str, Tensor]) -> None:
    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    trainer.learner.network.load_state_dict(part("now/"))
    trainer.learner.average.load_state_dict(part("average/"))
    trainer.validator.best_weights = part("best/") or None
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part("adam/").items():
        index, _, field = key.partition("/")
        state.setdefault(int(index), {})[field] = value.cpu() if field == "step" else value
    groups = trainer.learner.optimizer.state_dict()["param_groups"]
    trainer.learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    trainer.balance.factors = tensors["balance/factors"]
    trainer.balance.seen = tensors["balance/seen"]
    trainer.balance.units.style = tensors["units/style"]
    trainer.balance.units.palette = tensors["units/palette"]


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
        "another -o to begin anew."
    )
