"""One process of several under torchrun: the command line on a VGG of a handful of channels.

With DIE_ONCE=STEP in its environment, the last process ends without a word at that step of the
first attempt. The state is saved after every step.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.pop(0)  # this folder, whose inspect.py is not Python's
sys.path.insert(0, str(Path(__file__).parents[2]))

from cnnart import runtime as engine
from cnnart.__main__ import main
from cnnart.commands import training_run
from cnnart.methods.fast.torchrun_env import restarted, world
from cnnart.methods.fast.train.trainer import Trainer
from tests.helpers.tiny_vgg import tiny_weights


def die_once(step: int) -> None:
    original = Trainer.run_step

    def mortal(self: Trainer, index):  # type: ignore[no-untyped-def]
        if index == step and not restarted() and world()[0] == world()[1] - 1:
            os._exit(9)
        return original(self, index)

    Trainer.run_step = mortal  # type: ignore[method-assign]


if __name__ == "__main__":
    engine.load_vgg = lambda *_, **__: tiny_weights()  # type: ignore[assignment]
    training_run.SAVE_STATE_SECONDS = 0
    if "DIE_ONCE" in os.environ:
        die_once(int(os.environ["DIE_ONCE"]))
    sys.exit(main(sys.argv[1:]))
