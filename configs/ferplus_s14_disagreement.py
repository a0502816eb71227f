"""As ferplus_dinov2_s14_cpu.py, with one output more for human disagreement itself.

    ferjax train configs/ferplus_s14_disagreement.py --out runs/s14_disagreement \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
The control of ferplus_s14_dirichlet.py. Time and score: not measured here.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_dinov2_s14_cpu.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="disagreement"))
