"""As ferplus_dinov2_s14_cpu.py, on the most voted class alone: what it costs not to see the votes.

    ferjax train configs/ferplus_s14_labels.py --out runs/s14_labels \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Time and score: not measured here.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_dinov2_s14_cpu.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="labels"))
