"""torchvision's networks: whole, as published, in torch.hub's own cache.

Those that classify, and those that detect or segment, which are no networks of layers to cnnart.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import uuid
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from cnnart.errors import UsageError, WeightsError, did_you_mean, reason
from cnnart.files import cache_folder, file_sha256, is_file, open_file
from cnnart.weights.backbones import BSD, Published, hash_prefix
from cnnart.weights.files import refuse_disguise


def classifier_names() -> list[str]:
    """Every classification network torchvision publishes weights for."""
    from torchvision import models

    return list(models.list_models(module=models))


def detector_names() -> list[str]:
    """Every network of torchvision that draws boxes around objects (of COCO's classes)."""
    from torchvision.models import detection, list_models

    names = list_models(module=detection)
    return [name for name in names if not name.startswith("keypointrcnn")]


def segmenter_names() -> list[str]:
    """Every network of torchvision that gives each pixel a class (of Pascal VOC's)."""
    from torchvision.models import list_models, segmentation

    return list(list_models(module=segmentation))


def whole_names() -> list[str]:
    """Every network whose published file is used as it is."""
    return [*classifier_names(), *detector_names(), *segmenter_names()]


def classifier_weights(name: str) -> Any:
    """The default member of a network's weights enum. UsageError for an unknown name."""
    from torchvision import models

    known = whole_names()
    if name not in known:
        raise UsageError(f"torchvision has no network {name!r}.{did_you_mean(name, known)}")
    return models.get_model_weights(name).DEFAULT


def published_classifier(name: str) -> Published:
    """The published file of a network."""
    weights = classifier_weights(name)
    file = weights.url.rsplit("/", 1)[1]
    preset = weights.transforms()
    mean, std = (tuple(getattr(preset, values, ())) for values in ("mean", "std"))  # not of all
    return Published(
        file, weights.url, hash_prefix(file), mean, std, weights.meta.get("_file_size")
    )


def classifier_license(name: str) -> str:
    """torchvision's own license, or where a network's other one is to be read."""
    return str(classifier_weights(name).meta.get("license", BSD))


def hub_path(file: str) -> Path:
    """Where torchvision keeps a downloaded file; TORCH_HOME moves it."""
    folder = Path(torch.hub.get_dir())
    if not folder.is_absolute() and str(folder).startswith("~"):  # there is no home
        folder = cache_folder() / "torch"
    return folder / "checkpoints" / file


def fetch_classifier(name: str, *, offline: bool = False) -> Path:
    """The network's file in torch.hub's cache: verified, downloaded if it is not there.

    Raises UsageError for an unknown name, WeightsError when it is not to be had or damaged.
    """
    source = published_classifier(name)
    path = hub_path(source.file)
    if not is_file(path):
        refuse_offline(name, source, offline)
        download(classifier_weights(name), name, str(source.url))
    check_published(path, source, name)
    return path


def import_classifier(path: Path, digest: str) -> tuple[str, Path] | None:
    """Copy a published file into torch.hub's cache: its network's name and path there.

    ``digest``: the file's SHA-256. None if no network's default weights begin with it.
    """
    for name in whole_names():
        source = published_classifier(name)
        if source.hash_prefix and digest.startswith(source.hash_prefix):
            _copy(path, target := hub_path(source.file))
            return name, target
    return None


def _copy(path: Path, target: Path) -> None:
    """Whole or not at all."""
    part = target.with_suffix(f".{uuid.uuid4().hex}.part")  # two containers may share the folder
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, part)
        part.replace(target)
    except OSError as error:
        raise WeightsError(
            f"Cannot write {target} ({reason(error)}): set TORCH_HOME to a folder you can write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def refuse_offline(name: str, source: Published, offline: bool) -> None:
    """Raise WeightsError if nothing may be downloaded (``offline``, or CNNART_OFFLINE=1)."""
    if offline or os.environ.get("CNNART_OFFLINE", "") not in ("", "0"):
        raise WeightsError(
            f"{name} is not on this machine and cnnart is offline: get {source.url} elsewhere, "
            f"then run `cnnart weights import FILE` (or put it at {hub_path(source.file)})."
        )


def download(weights: Any, name: str, url: str) -> None:
    """Let torchvision download a member of a weights enum and compare its checksum."""
    try:
        weights.get_state_dict(
            progress=sys.stderr.isatty(),
            check_hash=True,
            map_location="cpu",
            weights_only=True,
            model_dir=str(hub_path("any").parent),
        )
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsError(
            f"{name} could not be downloaded from {url} ({reason(error)}): get the file "
            "another way and run `cnnart weights import FILE`."
        ) from error


def check_published(path: Path, source: Published, name: str) -> None:
    """Raise WeightsError if a file is not the published one."""
    try:
        with open_file(path) as file:
            refuse_disguise(str(path), file.read(1024))
        found = file_sha256(path)
    except OSError as error:
        raise WeightsError(f"Cannot read {path}: {reason(error)}.") from error
    if not found.startswith(source.hash_prefix):
        raise WeightsError(
            f"{path} is damaged (SHA-256 {found[:8]}..., published {source.hash_prefix}...): "
            f"delete it, then run `cnnart weights fetch {name}`."
        )
