"""As ferplus_s14_votes.py, by the likelihood of the counts: each vote weighs the same.

    ferjax train configs/ferplus_s14_multinomial.py --out runs/s14_multinomial \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Time and score: not measured here.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="multinomial"))
