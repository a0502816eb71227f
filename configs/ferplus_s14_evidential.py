"""As ferplus_s14_votes.py, by evidential deep learning (Sensoy et al., 2018).

    ferjax train configs/ferplus_s14_evidential.py --out runs/s14_evidential \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
As published: rectified outputs as evidence for the most voted class, squared error, and a penalty
that grows over ten epochs, of which four are trained here.
Stand-in test split, K = 5, bfloat16: accuracy 0.646, NLL 1.315, rho 0.328
(votes: 0.715, 1.090, 0.493); under two minutes on an H100, compilation included.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="evidential"))
