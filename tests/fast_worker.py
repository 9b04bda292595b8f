"""One process of several under torchrun: the command line on a VGG of a handful of channels.

With DIE_ONCE=STEP in its environment, the last process ends without a word at that step of the
first attempt. Autosaves are written after every step.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from conftest import tiny_weights  # noqa: E402

from cnnart import engine  # noqa: E402
from cnnart.__main__ import main  # noqa: E402
from cnnart.fast.torchrun import restarted, world  # noqa: E402
from cnnart.fast.trainer import Trainer  # noqa: E402
from cnnart.jobs import train_studio  # noqa: E402


def die_once(step: int) -> None:
    original = Trainer._step

    def mortal(self: Trainer, index, loader):  # type: ignore[no-untyped-def]
        if index == step and not restarted() and world()[0] == world()[1] - 1:
            os._exit(9)
        return original(self, index, loader)

    Trainer._step = mortal  # type: ignore[method-assign]


if __name__ == "__main__":
    engine.load_vgg = lambda *_, **__: tiny_weights()  # type: ignore[assignment]
    train_studio.AUTOSAVE_SECONDS = 0
    if "DIE_ONCE" in os.environ:
        die_once(int(os.environ["DIE_ONCE"]))
    sys.exit(main(sys.argv[1:]))
