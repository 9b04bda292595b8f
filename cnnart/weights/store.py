"""The weights store: networks embedded in the package, imported or fetched by torchvision.

An imported or fetched network is kept in the user's cache as a small safetensors file of its
convolutions alone, with its checksum inside; every load verifies it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from cnnart.errors import UsageError, WeightsError, did_you_mean
from cnnart.weights import backbones
from cnnart.weights.backbones import BACKBONES, Backbone, Convs, Published, VGGWeights
from cnnart.weights.cache import cached_path, file_sha256, load_cached, store
from cnnart.weights.files import describe, read_tensors, refuse_disguise

EMBEDDED = "vgg19"
DATA = Path(__file__).parent.parent / "data"


@dataclass(frozen=True)
class Imported:
    """Where ``import_file`` stored a network; ``verified``: it was the published file itself."""

    name: str
    path: Path
    verified: bool


@dataclass(frozen=True)
class Status:
    """One line of ``cnnart weights list``. ``present``: embedded, imported, downloaded or missing.

    ``file`` is the published file, ``path`` where it lies or would lie, ``bytes`` its size there or
    the download's size.
    """

    name: str
    source: str
    file: str
    present: str
    path: str
    bytes: int | None
    licence: str


def backbone_names() -> list[str]:
    """Every name ``load_vgg`` knows, the embedded network first."""
    return [EMBEDDED, *BACKBONES]


def load_vgg(name: str = EMBEDDED, *, offline: bool = False) -> VGGWeights:
    """The network called ``name``: embedded, else from the user's cache, else by torchvision.

    The embedded one is the Oxford VGG-19; its activations here are the original's divided by 255.
    With ``offline`` (or CNNART_OFFLINE=1) nothing is downloaded. Raises UsageError for an unknown
    name, WeightsError when the weights are missing or damaged.
    """
    if name == EMBEDDED:
        return _load_embedded()
    backbone = _find(name)
    if not cached_path(name).is_file():
        fetch(name, offline=offline)
    return load_cached(backbone)


def hub_path(file: str) -> Path:
    """Where torchvision keeps a downloaded file; TORCH_HOME moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints" / file


def manifest() -> dict[str, dict]:
    """What is known of each embedded file: source, licence, SHA-256, size."""
    content: dict[str, dict] = json.loads((DATA / "manifest.json").read_text(encoding="utf-8"))
    return content


def embedded_path(name: str = EMBEDDED) -> Path:
    return DATA / str(manifest()[name]["file"])


def fetch(name: str, *, offline: bool = False) -> Path:
    """Make a network present and return its path: torchvision's download, verified, then imported.

    A file already in torch.hub's cache is used without any download. Raises as ``load_vgg`` does.
    """
    if name == EMBEDDED:
        return embedded_path()
    backbone = _find(name)
    if cached_path(name).is_file():
        return cached_path(name)
    source = backbones.published(backbone)
    path = hub_path(source.file)
    if not path.is_file():
        if backbone.weights is None:
            raise WeightsError(missing(name))
        if offline or os.environ.get("CNNART_OFFLINE", "") not in ("", "0"):
            raise WeightsError(
                f"{name} is not on this machine and cnnart is offline: get {source.url} elsewhere, "
                f"then run `cnnart weights import FILE` (or put it at {path})."
            )
        _download(backbone, source)
    _check_published(path, source, name)
    return import_file(path, name=name).path


def import_file(path: Path | str, *, name: str | None = None) -> Imported:
    """Recognize a weights file by its content and keep its convolutions in the user's cache.

    The SHA-256 tells a published file, whatever it is called; the names and shapes of the tensors
    tell any other. ``name`` decides where several networks share their shapes. Nothing in the file
    is run. Raises WeightsError when it holds no network cnnart knows, UsageError for a ``name`` it
    cannot be.
    """
    path = Path(path)
    if name is not None:
        _find(name)
    state = read_tensors(path)
    fitting = backbones.candidates(state)
    if not fitting:
        raise WeightsError(
            f"{path.name} is {describe(state)}, none of the networks of `cnnart weights list`."
        )
    digest = file_sha256(path)
    exact = [b for b in fitting if digest.startswith(backbones.published(b).hash_prefix)]
    backbone = _choose(path.name, exact or fitting, name)
    stored = store(backbone, state, source_sha256=digest)
    return Imported(backbone.name, stored, verified=bool(exact))


def status(name: str) -> Status:
    """Where a network comes from and whether it is on this machine (its checksum is not tested)."""
    if name == EMBEDDED:
        entry, path = manifest()[EMBEDDED], embedded_path()
        origin, size = f"PyPI {entry['source']['requirement']}", entry["bytes"]
        return Status(name, origin, path.name, "embedded", str(path), size, entry["licence"])
    backbone = _find(name)
    source = backbones.published(backbone)
    origin = "torchvision" if source.url else "import only"
    size = round(source.megabytes * 2**20) if source.megabytes else None
    present, path = "missing", cached_path(name)
    if path.is_file():
        present = "imported"
    elif hub_path(source.file).is_file():
        present, path = "downloaded", hub_path(source.file)
    if present != "missing":
        size = path.stat().st_size
    return Status(name, origin, source.file, present, str(path), size, backbone.licence)


def verify(name: str) -> Path:
    """Check a network's checksum and return its path; WeightsError if damaged or missing."""
    if name == EMBEDDED:
        _embedded_digest()
        return embedded_path()
    backbone = _find(name)
    if cached_path(name).is_file():
        load_cached(backbone)
        return cached_path(name)
    source = backbones.published(backbone)
    if not hub_path(source.file).is_file():
        raise WeightsError(missing(name))
    _check_published(hub_path(source.file), source, name)
    return hub_path(source.file)


def missing(name: str) -> str:
    """The sentence for a network that is not on this machine, with the way to get it."""
    backbone = _find(name)
    if backbone.weights is None:
        return (
            f"{name} is not on this machine, and cnnart cannot download it: get {backbone.file} "
            "(a model of neural-style-pt) and run `cnnart weights import FILE`."
        )
    return f"{name} is not on this machine: run `cnnart weights fetch {name}`."


def _find(name: str) -> Backbone:
    if name not in BACKBONES:
        known = backbone_names()
        raise UsageError(
            f"Unknown network {name!r}.{did_you_mean(name, known)} Known: {', '.join(known)}."
        )
    return BACKBONES[name]


def _embedded_digest() -> str:
    """The embedded file's SHA-256, after comparing it with the manifest."""
    try:
        digest = file_sha256(embedded_path())
    except OSError as error:
        raise WeightsError(
            f"The embedded VGG-19 is missing ({error}): reinstall cnnart."
        ) from error
    if digest != manifest()[EMBEDDED]["sha256"]:
        raise WeightsError(f"The embedded VGG-19 ({embedded_path()}) is damaged: reinstall cnnart.")
    return digest


def _load_embedded() -> VGGWeights:
    """Expand the codebook: each weight is an 8-bit index into its layer's table of 256 values."""
    digest = _embedded_digest()
    convs: Convs = {}
    with safe_open(embedded_path(), framework="numpy") as file:
        for layer, *_ in backbones.layers(BACKBONES["vgg19-oxford"]):
            table, index = file.get_tensor(f"{layer}.table"), file.get_tensor(f"{layer}.index")
            bias = file.get_tensor(f"{layer}.bias")
            convs[layer] = (torch.from_numpy(np.take(table, index)), torch.from_numpy(bias))
    convs, mean, std = backbones.unit_std(
        backbones.bgr_to_rgb(convs), backbones.OXFORD_MEAN, (1 / 255,) * 3
    )
    return VGGWeights(EMBEDDED, convs, mean, std, digest)


def _choose(file: str, fitting: list[Backbone], name: str | None) -> Backbone:
    """The backbone a file holds, among those that fit it."""
    names = [backbone.name for backbone in fitting]
    if name is None and len(fitting) == 1:
        return fitting[0]
    if name is None:
        raise WeightsError(
            f"{file} has the shapes of {' and '.join(names)} but is none of their published files: "
            "say which it is with --as NAME."
        )
    if name not in names:
        raise UsageError(f"{file} is not {name}: it is {' or '.join(names)}.")
    return BACKBONES[name]


def _download(backbone: Backbone, source: Published) -> None:
    try:
        backbones.torchvision_weights(backbone).get_state_dict(
            progress=sys.stderr.isatty(), check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, HTTPException, RuntimeError) as error:
        raise WeightsError(
            f"{backbone.name} could not be downloaded from {source.url} ({error}): get the file "
            "another way and run `cnnart weights import FILE`."
        ) from error


def _check_published(path: Path, source: Published, name: str) -> None:
    with path.open("rb") as file:
        refuse_disguise(str(path), file.read(1024))
    found = file_sha256(path)
    if not found.startswith(source.hash_prefix):
        raise WeightsError(
            f"{path} is damaged (SHA-256 {found[:8]}..., published {source.hash_prefix}...): "
            f"delete it, then run `cnnart weights fetch {name}`."
        )
