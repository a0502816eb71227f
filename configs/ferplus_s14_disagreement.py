"""As ferplus_s14_votes.py, with one output more for human disagreement itself.

    ferjax train configs/ferplus_s14_disagreement.py --out runs/s14_disagreement \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
The control of ferplus_s14_dirichlet.py.
Stand-in test split, K = 5, bfloat16: accuracy 0.711, NLL 1.089, rho 0.493
(votes: 0.715, 1.090, 0.493); under two minutes on an H100, compilation included.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="disagreement"))
