"""Every reader, with files that are nearly right: each is read, or refused in one line.

No crash, nothing over 10 s, less than 1 GiB more memory, and nothing done but reading (``guard``).
"""

from __future__ import annotations

import faulthandler
import json
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cnnart import builtin_styles as styles
from cnnart.commands.inspect import read_state as read_search
from cnnart.commands.rerun import Rerun
from cnnart.errors import CnnartError
from cnnart.image.read import quiet_libtiff, read_image, style_mask
from cnnart.methods.fast.checkpoint import load_checkpoint
from cnnart.methods.fast.header import style_names
from cnnart.methods.fast.train.state import restore_state, save_state, saved_batch
from cnnart.methods.inspect.config import PatchesConfig
from cnnart.methods.inspect.index import Index, read_index, write_index
from cnnart.methods.inspect.patches import TopPatchSearch
from cnnart.methods.inspect.pictures import Item
from cnnart.networks import convolution
from cnnart.networks.vgg import FeatureExtractor
from cnnart.run.inputs import Source
from cnnart.run.journal import Journal
from cnnart.run.outputs import Task
from cnnart.run.record import read_record_of
from cnnart.run.saved_state import DamagedState, read_state, write_state
from cnnart.weights.files import read_tensors
from tests.helpers import fast
from tests.helpers.pictures import make_photo
from tests.helpers.tiny_vgg import tiny_weights
from tests.torture import corpus
from tests.torture.conftest import SHARE
from tests.torture.guard import guarded
from tests.torture.mutations import (
    as_json,
    mutated_bytes,
    mutated_json,
    mutated_safetensors,
    mutated_zip,
)

SECONDS, MEMORY = 10, 1 << 30
MAX_PIXELS = 2_000_000  # a picture of more is decoded by right, and takes what it takes
INPUTS = 10_000  # over all readers


@dataclass
class Reader:
    """``files``: of nearly right ones. ``read``: takes one's path, and may raise ``errors``.

    ``share``: of the inputs, by how much there is to go wrong.
    """

    name: str
    suffix: str
    files: st.SearchStrategy[bytes]
    read: Callable[[Path], Any]
    share: float = 1.0
    errors: tuple[type[Exception], ...] = field(default=(CnnartError,))


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> None:
    """The first TIFF of a process has Pillow's own library asked for once more, which is seen."""
    quiet_libtiff()


def _pictures(folder: Path) -> Reader:
    def read(path: Path) -> None:
        read_image(path, max_pixels=MAX_PIXELS)

    return Reader("pictures", ".png", mutated_bytes(corpus.pictures()), read, 10)


def _masks(folder: Path) -> Reader:
    return Reader("masks", ".png", mutated_bytes(corpus.pictures()[:6]), style_mask)


def _records_in_pictures(folder: Path) -> Reader:
    files = mutated_bytes(corpus.written_pictures(folder))
    return Reader("pictures with a record", ".png", files, read_record_of, 2)


def _records(folder: Path) -> Reader:
    made = corpus.records(folder)
    for record in made:  # as they are, they can be made again
        Rerun(record, folder / "result.png", inputs=[folder])

    def read(path: Path) -> None:
        found = json.loads(path.read_text(encoding="utf-8", errors="surrogatepass"))
        # What read_record_of lets through.
        if isinstance(found, dict) and isinstance(found.get("command"), str):
            Rerun(found, path, inputs=[folder])

    return Reader("records given to rerun", ".json", mutated_json(made).map(as_json), read, 2)


def _checkpoints(folder: Path) -> Reader:
    made = corpus.checkpoints()
    files = mutated_bytes(made) | mutated_safetensors(made, "cnnart-style")

    def read(path: Path) -> None:
        load_checkpoint(path)
        style_names(path)

    return Reader("style checkpoints", ".safetensors", files, read, 2)


def _legacy(folder: Path) -> Reader:
    made = corpus.legacy_networks()
    files = mutated_bytes(made) | mutated_zip([made[0], made[2]])
    return Reader("checkpoints of pytorch/examples", ".pth", files, load_checkpoint, 2)


def _weights(folder: Path) -> Reader:
    made = corpus.weights()
    files = mutated_bytes(made) | mutated_safetensors(made[:1]) | mutated_zip(made[1:2])
    return Reader("weights", ".pth", files, read_tensors)


def _trainings(folder: Path) -> Reader:
    trainer = fast.trainer(fast.photo_folder(folder / "photos"), steps=4)
    made = [save_state(trainer)]

    def read(path: Path) -> None:
        saved_batch(path.read_bytes())
        restore_state(trainer, path.read_bytes(), path.name)

    files = mutated_zip(made) | mutated_bytes(made)
    return Reader("training states", ".pt", files, read, 0.5)


def _indexes(folder: Path) -> Reader:
    import torch

    made_with = {"network": "n", "weights": "0", "layer": "l", "precision": "float32"}
    rows = torch.rand(3, 5).half(), torch.zeros(3, 12, dtype=torch.uint8)
    write_index(folder / "index", Index(made_with, list("abc"), [(1, 2)] * 3, *rows))
    data = [(folder / "index").read_bytes()]

    def read(path: Path) -> None:
        found = read_index(path, made_with)
        assert found is None or len(found.names) == len(found.stamps) == len(found.features)

    files = mutated_bytes(data) | mutated_safetensors(data, "names")
    return Reader("indexes", ".index", files, read)


def _manifests(folder: Path) -> Reader:
    made = [json.loads((styles.styles_folder() / "manifest.json").read_text(encoding="utf-8"))]

    def read(path: Path) -> None:
        path.rename(path.with_name("manifest.json"))
        before, styles.styles_folder = styles.styles_folder, lambda: path.parent
        try:
            found = styles.builtin_styles()
            styles.builtin_networks()
            for style in found.values():
                styles.defect(style)
        finally:
            styles.styles_folder = before

    files = mutated_json(made).map(as_json) | mutated_bytes([as_json(made[0])])
    return Reader("manifests", ".json", files, read, 0.5)


def _searches(folder: Path) -> Reader:
    items = [Item(name, lambda: make_photo(40, 40)) for name in ("a.png", "b.png")]
    config = PatchesConfig(layer="conv1_1", channels=(0, 1))
    search = TopPatchSearch(FeatureExtractor(tiny_weights()), config)
    assert len(list(search.search(items))) == 2
    made = [json.loads(json.dumps(search.state(items)))]

    def read(path: Path) -> None:
        state = read_search(path)
        if state is not None and search.restore(state, items):
            search.state(items)

    files = mutated_json(made).map(as_json) | mutated_bytes([as_json(made[0])])
    return Reader("unfinished searches", ".json", files, read, 0.5)


def _choices(folder: Path) -> Reader:
    made = [{"a machine": {"3x3 64 64": True}}]

    def read(path: Path) -> None:
        before, convolution._choices_file = convolution._choices_file, lambda: path
        try:
            convolution._recorded()
        finally:
            convolution._choices_file = before

    files = mutated_json(made).map(as_json) | mutated_bytes([as_json(made[0])])
    return Reader("the cache's choices", ".json", files, read, 0.3)


def _journals(folder: Path) -> Reader:
    target = folder / "results" / "a.png"
    target.parent.mkdir()
    target.write_bytes(b"whole")
    task = Task(Source(folder / "a.jpg", "a.jpg"), target, "png")
    facts = {"size": 5, "sha256": "0" * 64, "photo": None}
    made = [
        {
            "format": 1,
            "made_of": {"settings": {"size": 64}, "styles": [{"sha256": "0"}]},
            "whole": {"a.png": facts, "b.png": facts},
            "in_progress": "a.png",
            "ended": False,
        }
    ]

    def read(path: Path) -> None:
        journal = Journal([task], made[0]["made_of"])
        path.replace(journal.path)
        with journal:
            journal.is_whole(task)
            journal.is_in_progress(task)
            journal.state_of(task, None)
            journal.close(interrupted=False, failed=False)

    files = mutated_json(made).map(as_json) | mutated_bytes([as_json(made[0])])
    return Reader("run journals", ".journal", files, read)


def _states(folder: Path) -> Reader:
    import torch

    state = {"level": 1, "image": torch.rand(1, 3, 4, 4), "more": [{"t": torch.zeros(2)}, 0.5]}
    write_state(folder / "state", {"target": "a.png"}, state)
    data = [(folder / "state").read_bytes()]
    files = mutated_bytes(data) | mutated_safetensors(data, "cnnart")
    errors = (CnnartError, DamagedState, OSError)  # what the journal begins anew for
    return Reader("states of runs", ".state", files, read_state, errors=errors)


READERS = {
    made.__name__.strip("_"): made
    for made in (
        *(_pictures, _masks, _records_in_pictures, _records, _checkpoints, _legacy, _weights),
        *(_trainings, _indexes, _manifests, _searches, _choices, _journals, _states),
    )
}
SHARES = 10 + 1 + 2 + 2 + 2 + 2 + 1 + 0.5 + 1 + 0.5 + 0.5 + 0.3 + 1 + 1


@pytest.mark.parametrize("kind", READERS)
def test_what_is_nearly_right_is_read_or_refused_in_one_line(kind, tmp_path, amount, count):
    reader = READERS[kind](tmp_path)
    inputs = amount(12, round(INPUTS * reader.share / SHARES))
    tried, peak = 0, Peak()
    folder = tmp_path / "inputs"
    folder.mkdir()

    # Always the same few in the suite; by `make torture`, others each time.
    @settings(
        max_examples=inputs,
        deadline=None,
        database=None,
        derandomize=not SHARE,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # no smaller input is looked for: the file itself is kept
    )
    @given(reader.files.map(Input))
    def look(given: Input) -> None:
        nonlocal tried
        tried += 1
        path = folder / f"{tried}{reader.suffix}"
        path.write_bytes(given.data)
        faulthandler.dump_traceback_later(6 * SECONDS, exit=bool(SHARE))  # a hang in C
        began, refusal = time.monotonic(), "a line"
        try:
            with warnings.catch_warnings(record=True) as said, guarded(tmp_path) as acts:
                warnings.simplefilter("always")
                reader.read(path)
        except reader.errors as error:
            refusal = str(error)
        finally:
            faulthandler.cancel_dump_traceback_later()
        assert time.monotonic() - began < SECONDS
        assert refusal.strip()
        assert "\n" not in refusal
        assert not acts
        assert not [str(warning.message) for warning in said]
        path.unlink(missing_ok=True)  # what failed is left there to be looked at

    look()
    assert peak.grown() < MEMORY
    count(f"inputs to readers: {reader.name}", tried)


@dataclass
class Input:
    data: bytes = field(repr=False)


class Peak:
    """By how much the memory in use has grown at most since it was made, in bytes."""

    def __init__(self) -> None:
        if sys.platform == "linux":
            Path("/proc/self/clear_refs").write_text("5")
        self._before = self._highest()

    def grown(self) -> int:
        return self._highest() - self._before

    @staticmethod
    def _highest() -> int:
        if sys.platform == "linux":
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) << 10
        if sys.platform == "win32":
            return 0
        import resource

        highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return highest if sys.platform == "darwin" else highest << 10


def test_the_guard_notices(tmp_path):
    import os
    import socket
    import subprocess

    with guarded(tmp_path) as acts:
        (tmp_path / "allowed").write_text("x")
        assert not acts
        subprocess.run([sys.executable, "-V"], check=True, capture_output=True)
        assert any(act.startswith("subprocess.Popen") for act in acts)
        acts.clear()
        socket.socket().close()
        assert acts
        acts.clear()
        with pytest.raises(OSError, match="No such"):
            Path(tmp_path.parent, "no", "such").write_text("x")
        assert "for writing" in acts[0]
        acts.clear()
        with pytest.raises(OSError, match="No such"):
            os.rename(tmp_path.parent / "a", tmp_path / "b")  # noqa: PTH104
        assert acts
    with socket.socket():
        assert len(acts) == 1
