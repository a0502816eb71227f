"""As ferplus_dinov2_s14_cpu.py, with dropout on the head's features and twenty passes a member.

    ferjax train configs/ferplus_s14_mc_dropout.py --out runs/s14_mc_dropout \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Use --train.seeds 42 for the method as it is published, one network. Time and score: not measured
here.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_dinov2_s14_cpu.py")))["config"]
config = dataclasses.replace(
    votes,
    train=dataclasses.replace(votes.train, method="mc-dropout"),
    model=dataclasses.replace(votes.model, dropout=0.2),
)
