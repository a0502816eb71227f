"""As ferplus_dinov2_s14_cpu.py, by evidential deep learning (Sensoy et al., 2018).

    ferjax train configs/ferplus_s14_evidential.py --out runs/s14_evidential \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
As published: rectified outputs as evidence for the most voted class, squared error, and a penalty
that grows over ten epochs, of which four are trained here. Time and score: not measured here.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_dinov2_s14_cpu.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="evidential"))
