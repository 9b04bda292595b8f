"""``benchmarks.video``: its flow is true, and it runs whole."""

import json

import pytest
import torch

from benchmarks import video
from cnnart.optim.flow import inside, warp
from tests.helpers.clips import save_clip
from tests.optim.test_flow import texture


@pytest.mark.parametrize("move", list(video.MOVES))
def test_the_flow_of_a_camera_move_is_true(move):
    """A smooth picture, moved along it, is the next frame, and along no flow it is not."""
    smooth = torch.nn.functional.avg_pool2d(texture(), 9, 1, 4)
    frames, flows = video.film(smooth, move, 4)
    assert len(flows) == 3
    for before, now, flow in zip(frames, frames[1:], flows, strict=False):
        seen = inside(flow)
        apart = ((warp(before, flow) - now).abs() * seen)[..., 4:-4, 4:-4]
        assert apart.max() < 0.02
        assert apart.mean() < 0.25 * (before - now).abs().mean() + 1e-3
    assert frames[0].shape == (1, 3, 80, 112)


@pytest.mark.slow
def test_it_runs_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MOVES", {"pan": video.MOVES["pan"]})
    options = "examples/tesserae.jpg --frames 7 --still 3 --styles starry-night"
    monkeypatch.setattr("sys.argv", ["video", *options.split(), "--output", str(tmp_path)])
    video.main()
    found = json.loads((tmp_path / "video.json").read_text())
    assert [clip["move"] for clip in found["clips"]] == ["pan"]
    assert all(clip["held"] < clip["alone"] for clip in found["clips"])
    assert found["still"][0]["deviation"] < 1
    assert (tmp_path / "video.md").is_file()
    clip = str(save_clip(tmp_path / "real.mp4", 8, size=(96, 128)))
    more = ["--clip", clip, "--frames", "8", "--styles", "starry-night", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["video", *more])
    video.main()
    (found,) = json.loads((tmp_path / "video-clips.json").read_text())["clips"]
    assert found["held"] < found["alone"]
    assert (tmp_path / "video.png").is_file()
