"""Two processes under torchrun, as users start them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cnnart.errors import CnnartError
from cnnart.image.write import write_image
from cnnart.methods.fast import torchrun_env
from cnnart.methods.fast.torchrun_env import ignored, local_device, restarted, shared, world
from cnnart.methods.fast.train.distributed import Group
from tests.helpers.clips import frames_in, save_clip
from tests.helpers.fast import BLUE, TINY, photo_folder, saved, trainer
from tests.helpers.pictures import make_painting

# As torchrun sets them for the last of four processes.
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "1",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "RANK": "3",
    "LOCAL_RANK": "3",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29876",
}
WORKER = Path(__file__).parents[2] / "helpers" / "fast_worker.py"

needs_gloo = pytest.mark.skipif(
    sys.platform == "win32" or not torch.distributed.is_available(),
    reason="torchrun with gloo",
)


def torchrun(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [
            *start,
            "--max-restarts",
            "3" if "DIE_ONCE" in environment else "0",
            str(WORKER),
            *arguments,
        ],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1", **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
@needs_gloo
def test_two_processes_train_as_one_even_when_one_dies(tmp_path: Path) -> None:
    photo_folder(tmp_path / "photos")
    write_image(tmp_path / "amber.png", make_painting())
    write_image(tmp_path / "blue.png", make_painting(seed=5, color=BLUE))
    settings = ("--steps", "20", "--size", "64", "--batch", "4", "--style-size", "64")
    more = ("--arch", TINY, "--precision", "fp32", "--workers", "0", "--validate-every", "10")
    done = torchrun(
        tmp_path,
        *("train-style", "amber.png", "blue.png", "--photos", "photos", "-o", "two.safetensors"),
        *(*settings, *more),
        DIE_ONCE="13",
    )
    assert done.returncode == 0, done.stderr
    assert "Going on after step 12." in done.stderr
    single = trainer(tmp_path / "photos", steps=20, batch=4, validate_every=10, warmup_steps=50)
    for _ in single.steps():
        pass
    lines = [json.loads(x) for x in (tmp_path / "two.log.jsonl").read_text().splitlines()]
    curve = [line["losses"] for line in lines if "losses" in line]
    assert len(curve) == len(single.history.entries) == 2
    for found, (_, expected) in zip(curve, single.history.entries, strict=True):
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, rel=0.01, abs=1e-4)


@pytest.mark.slow
@needs_gloo
def test_every_file_of_a_folder_is_painted_exactly_once(tmp_path: Path) -> None:
    """Each clip by one process, all its frames."""
    saved(tmp_path / "one.safetensors", "candy")
    photo_folder(tmp_path / "in")
    for name in "abc":
        save_clip(tmp_path / "in" / f"{name}.mp4", 6, sound="aac")
    (tmp_path / "in" / "bad.mp4").write_text("no clip\n" * 40)
    done = torchrun(tmp_path, "fast-stylize", "in", "-s", "one.safetensors", "-o", "out/")
    names = [Path(line).name for line in done.stdout.splitlines() if "-candy." in line]
    clips = [f"{name}-candy.mp4" for name in "abc"]
    photos = [*(f"p{i}-candy.png" for i in range(5)), "small-candy.png"]
    assert sorted(names) == [*clips, *photos]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(names)
    for name in clips:
        assert len(frames_in(tmp_path / "out" / name)) == 6
    assert "broken.jpg" in done.stderr
    assert "bad.mp4" in done.stderr


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert world() == (0, 1)
    assert not restarted()
    with shared([1, 2, 3]) as mine:
        assert mine == [1, 2, 3]
    group = Group()
    assert group.agree(2.5) == 2.5
    assert group.share(b"abc") == b"abc"
    assert group.mean(torch.tensor([1.0, 3.0])).tolist() == [1.0, 3.0]
    assert group.leads


FOREIGN = [
    {"WORLD_SIZE": "2"},
    {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29876"},
    {"WORLD_SIZE": "", "RANK": ""},
    {"WORLD_SIZE": "two", "RANK": "-1", "TORCHELASTIC_RESTART_COUNT": "x"},
    {"RANK": "3", "SLURM_PROCID": "1", "SLURM_NTASKS": "4"},
    TORCHRUN | {"RANK": "4"},
    TORCHRUN | {"MASTER_PORT": ""},
]


@pytest.mark.parametrize("variables", FOREIGN)
def test_variables_that_torchrun_did_not_set_mean_nothing(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert world() == (0, 1)
    assert not restarted()
    alone = variables.get("WORLD_SIZE") == "2"
    assert bool(ignored()) == alone, "a line only where several were meant"


def test_others_that_do_not_come_are_not_waited_for_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in (TORCHRUN | {"MASTER_PORT": str(port)}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torchrun_env, "PATIENCE", 0.01)
    monkeypatch.setattr(torchrun_env, "LONGEST_WAIT", 1.0)
    told: list[str] = []
    with (
        pytest.raises(
            CnnartError,
            match=f"The 4 processes of torchrun at 127.0.0.1:{port} did not meet within",
        ),
        torchrun_env.shared([1, 2], told.append),
    ):
        pass
    assert len(told) == 1
    assert "waiting for the 4 processes" in told[0]


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert local_device(torch.device("cuda")) == torch.device("cuda", 3)
    assert local_device(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert local_device(torch.device("cpu")) == torch.device("cpu")
