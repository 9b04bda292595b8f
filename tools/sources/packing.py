"""What building any embedded file takes: download, verify, pack."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

DTYPES = {
    np.dtype("<f4"): "F32",
    np.dtype("<f2"): "F16",
    np.dtype("<i2"): "I16",
    np.dtype("u1"): "U8",
}


@dataclass(frozen=True)
class Built:
    """Files by name, and what the manifest says about each network among them."""

    files: dict[str, bytes]
    entries: dict[str, dict[str, object]] = field(default_factory=dict)


def download(requirement: str, folder: Path) -> Path:
    """The wheel or sdist, fetched by pip into ``folder``.

    Pip looks into an sdist by running its setup.py: use this where that may be.
    """
    before = set(folder.iterdir())
    command = [sys.executable, "-m", "pip", "download", "--no-deps"]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)
    return next(path for path in folder.iterdir() if path not in before)


def download_npm(package: str, folder: Path) -> Path:
    """The package's tarball, fetched by npm into ``folder``."""
    before = set(folder.iterdir())
    subprocess.run(["npm", "pack", "--pack-destination", str(folder), package], check=True)
    return next(path for path in folder.iterdir() if path not in before)


def checked(content: bytes, sha256: str, what: str) -> bytes:
    """``content`` if it is the published one; otherwise the script ends."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(f"{what} is not the published one: SHA-256 {found}, expected {sha256}.")
    print(f"{what}: SHA-256 {sha256} verified")
    return content


def in_24_bits(name: str, array: np.ndarray) -> dict[str, np.ndarray]:
    """A tensor as whole numbers of 24 bits: their upper 16, their lower 8, and what one is worth.

    ``cnnart.weights.embedded`` puts them together again.
    """
    step = np.float32(np.abs(array).max() / (2**23 - 1))
    whole = np.rint(array.astype("<f8") / float(step)).astype("<i4")
    return {
        f"{name}.step": np.array([step], "<f4"),
        f"{name}.high": (whole >> 8).astype("<i2"),
        f"{name}.low": (whole & 255).astype("u1"),
    }


def to_safetensors(tensors: dict[str, np.ndarray], metadata: dict[str, str]) -> bytes:
    """The safetensors file, written out by hand: the library promises no byte order of its header.

    Format: u64 length of the JSON header, the header padded to 8 bytes, the tensors in a row.
    """
    header: dict[str, object] = {"__metadata__": metadata}
    parts, start = [], 0
    for name, array in tensors.items():
        parts.append(array.tobytes())
        end = start + len(parts[-1])
        header[name] = {
            "dtype": DTYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def manifest_entry(
    name: str,
    content: bytes,
    metadata: dict[str, str],
    source: dict[str, str],
    facts: dict[str, str],
) -> dict[str, object]:
    """What ``manifest.json`` says about ``{name}.safetensors``."""
    return {
        "file": f"{name}.safetensors",
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "network": metadata["network"],
        "authors": metadata["authors"],
        "licence": metadata["licence"],
        "notice": f"{name}.NOTICE.txt",
        "source": source,
        "facts": facts,
    }
