"""The weights store: networks embedded in the package, imported or fetched by torchvision.

An imported or fetched network is kept in the user's cache as a small safetensors file of its
convolutions alone, with its checksum inside; every load verifies it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cnnart.errors import UsageError, WeightsError, did_you_mean
from cnnart.files import file_sha256, is_file
from cnnart.weights import backbones
from cnnart.weights.backbones import BACKBONES, Backbone
from cnnart.weights.cache import cached_path, load_cached, store
from cnnart.weights.classifiers import (
    check_published,
    classifier_license,
    download,
    fetch_classifier,
    hub_path,
    import_classifier,
    published_classifier,
    refuse_offline,
    whole_names,
)
from cnnart.weights.embedded import (
    embedded_digest,
    embedded_names,
    embedded_path,
    manifest,
)
from cnnart.weights.files import describe, read_tensors


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
    license: str


def network_names() -> list[str]:
    """What ``cnnart weights list`` shows: the embedded networks, the VGGs, and what is here.

    Any other name of ``whole_names()`` can be fetched as well.
    """
    shown = [*embedded_names(), *BACKBONES]
    here = (n for n in whole_names() if is_file(hub_path(published_classifier(n).file)))
    return [*shown, *(name for name in here if name not in shown)]


def fetch(name: str, *, offline: bool = False) -> Path:
    """Make a network present and return its path: torchvision's download, verified.

    Of a VGG the convolutions are then imported; another network stays the file it is. A file
    already in torch.hub's cache is used without any download. Raises UsageError for an unknown
    name, WeightsError when it cannot be had.
    """
    if name in embedded_names():
        return embedded_path(name)
    if name not in BACKBONES:
        return fetch_classifier(_known(name), offline=offline)
    backbone = BACKBONES[name]
    if is_file(cached_path(name)):
        return cached_path(name)
    source = backbones.published(backbone)
    path = hub_path(source.file)
    if not is_file(path):
        if backbone.weights is None:
            raise WeightsError(missing(name))
        refuse_offline(name, source, offline)
        download(backbones.torchvision_weights(backbone), name, str(source.url))
    check_published(path, source, name)
    return import_file(path, name=name).path


def import_file(path: Path | str, *, name: str | None = None) -> Imported:
    """Recognize a weights file by its content and keep what is needed of it.

    Of a VGG the convolutions go to the user's cache: the SHA-256 tells a published file, whatever
    it is called; the names and shapes of the tensors tell any other. Another network's published
    file is copied to where torchvision looks for it. ``name`` decides where several networks share
    their shapes. Nothing in the file is run. Raises WeightsError when it holds no network cnnart
    knows, UsageError for a ``name`` it cannot be.
    """
    path = Path(path)
    if name is not None:
        _known(name)
    state = read_tensors(path)
    digest = file_sha256(path)
    fitting = backbones.candidates(state)
    if not fitting:
        return _import_whole(path, digest, describe(state), name)
    exact = [b for b in fitting if digest.startswith(backbones.published(b).hash_prefix)]
    backbone = _choose(path.name, exact or fitting, name)
    stored = store(backbone, state, source_sha256=digest)
    return Imported(backbone.name, stored, verified=bool(exact))


def _import_whole(path: Path, digest: str, what: str, name: str | None) -> Imported:
    """Import a file that is no VGG: only torchvision's published ones are known."""
    done = import_classifier(path, digest)
    if done is None:
        raise WeightsError(
            f"{path.name} is {what}: neither a VGG of `cnnart weights list` nor a file that "
            "torchvision publishes. A network of your own is named as MODULE:FUNCTION."
        )
    if name not in (None, done[0]):
        raise UsageError(f"{path.name} is not {name}: it is {done[0]}.")
    return Imported(*done, verified=True)


def status(name: str) -> Status:
    """Where a network comes from and whether it is on this machine (its checksum is not tested)."""
    if name in embedded_names():
        entry, path = manifest()[name], embedded_path(name)
        source = entry["source"]
        origin = f"{source.get('registry', 'PyPI')} {source['requirement']}"
        return Status(
            name, origin, path.name, "embedded", str(path), entry["bytes"], entry["licence"]
        )
    backbone = BACKBONES.get(_known(name))
    source = backbones.published(backbone) if backbone else published_classifier(name)
    license = backbone.license if backbone else classifier_license(name)
    origin = "torchvision" if source.url else "import only"
    size = round(source.megabytes * 2**20) if source.megabytes else None
    present, path = "missing", cached_path(name) if backbone else hub_path(source.file)
    if backbone and is_file(path):
        present = "imported"
    elif is_file(hub_path(source.file)):
        present, path = "downloaded", hub_path(source.file)
    if present != "missing":
        size = path.stat().st_size
    return Status(name, origin, source.file, present, str(path), size, license)


def verify(name: str) -> Path:
    """Check a network's checksum and return its path; WeightsError if damaged or missing."""
    if name in embedded_names():
        embedded_digest(name)
        return embedded_path(name)
    backbone = BACKBONES.get(_known(name))
    if backbone and is_file(cached_path(name)):
        load_cached(backbone)
        return cached_path(name)
    source = backbones.published(backbone) if backbone else published_classifier(name)
    if not is_file(hub_path(source.file)):
        raise WeightsError(missing(name))
    check_published(hub_path(source.file), source, name)
    return hub_path(source.file)


def missing(name: str) -> str:
    """The sentence for a network that is not on this machine, with the way to get it."""
    backbone = BACKBONES.get(_known(name))
    if backbone and backbone.weights is None:
        return (
            f"{name} is not on this machine, and cnnart cannot download it: get {backbone.file} "
            "(a model of neural-style-pt) and run `cnnart weights import FILE`."
        )
    return f"{name} is not on this machine: run `cnnart weights fetch {name}`."


def _known(name: str) -> str:
    """``name`` if it is a network's; otherwise UsageError."""
    shown = [*embedded_names(), *BACKBONES]
    if name not in shown and name not in (whole := whole_names()):
        raise UsageError(
            f"Unknown network {name!r}.{did_you_mean(name, [*shown, *whole])} Known: "
            f"{', '.join(shown)}, and torchvision's networks by name."
        )
    return name


def _choose(file: str, fitting: list[Backbone], name: str | None) -> Backbone:
    """The backbone a file holds, among those that fit it."""
    names = [backbone.name for backbone in fitting]
    if name is None and len(fitting) == 1:
        return fitting[0]
    if name is None:
        raise WeightsError(
            f"{file} has the shapes of {' and '.join(names)} but is none of their published files: "
            "say which it is with `as` NAME."
        )
    if name not in names:
        raise UsageError(f"{file} is not {name}: it is {' or '.join(names)}.")
    return BACKBONES[name]
