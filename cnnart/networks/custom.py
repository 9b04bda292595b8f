"""A custom network: the user's own ``nn.Module``, named as ``module:function``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cnnart.errors import UsageError, did_you_mean
from cnnart.networks.module import IMAGENET_MEAN, IMAGENET_STD, ModuleNetwork, Preprocessing


def custom_network(name: str, device: torch.device, dtype: torch.dtype) -> ModuleNetwork:
    """The ``nn.Module`` that ``module:function`` returns (or is), as a Network.

    The module is looked for in the current folder too. How it wants its pictures is read from its
    attributes where it has them: ``mean``, ``std`` (default: ImageNet's; one number each for a
    network that takes gray), ``input_size`` (224), ``resize``, ``classes`` (a list of names).
    Raises UsageError, in one line, for all that fails.
    """
    model = _call(name, _find(name))
    if not isinstance(model, nn.Module):
        raise UsageError(f"{name} returned a {type(model).__name__}, not a torch.nn.Module.")
    side = int(getattr(model, "input_size", 224))
    classes = getattr(model, "classes", None)
    gray = _takes_gray(model)
    preprocessing = Preprocessing(
        mean=_numbers(getattr(model, "mean", (0.5,) if gray else IMAGENET_MEAN)),
        std=_numbers(getattr(model, "std", (0.5,) if gray else IMAGENET_STD)),
        input_size=side,
        resize=int(getattr(model, "resize", round(side * 256 / 224))),
        classes=[str(item) for item in classes] if classes is not None else None,
    )
    return ModuleNetwork(name, model, preprocessing, device=device, dtype=dtype)


def _find(name: str) -> Any:
    """What ``module:function`` names."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise UsageError(f"{name!r} is no network: write MODULE:FUNCTION, like my_nets:make_net.")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UsageError(
                f"No Python module {module_name!r}: it must be a file in this folder "
                f"({module_name}.py) or an installed package."
            ) from error
        raise _broken(f"{module_name} could not be imported", error) from error
    except Exception as error:
        raise _broken(f"{module_name} could not be imported", error) from error
    if not hasattr(module, attribute):
        hint = did_you_mean(attribute, [n for n in vars(module) if not n.startswith("_")])
        raise UsageError(f"The module {module_name} has no {attribute!r}.{hint}")
    return getattr(module, attribute)


def _call(name: str, found: Any) -> Any:
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}, not a function.")
    try:
        return found()
    except Exception as error:
        raise _broken(f"{name}() failed", error) from error


def _broken(what: str, error: Exception) -> UsageError:
    reason = " ".join(str(error).split())
    return UsageError(f"{what} ({type(error).__name__}{f': {reason}' if reason else ''}).")


def _takes_gray(model: nn.Module) -> bool:
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return first is not None and first.in_channels == 1


def _numbers(values: Any) -> tuple[float, ...]:
    if isinstance(values, torch.Tensor):
        values = values.flatten().tolist()
    numbers = tuple(float(v) for v in (values if isinstance(values, Iterable) else [values]))
    if len(numbers) not in (1, 3):
        raise UsageError(
            f"A network's mean and std are three numbers, or one for gray, not {len(numbers)}."
        )
    return numbers
