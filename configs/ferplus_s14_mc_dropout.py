"""As ferplus_s14_votes.py, with dropout on the head's features and twenty passes a member.

    ferjax train configs/ferplus_s14_mc_dropout.py --out runs/s14_mc_dropout \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Use --train.seeds 42 for the method as it is published, one network.
Stand-in test split, one network, bfloat16: accuracy 0.700, NLL 1.125, rho 0.479
(votes: 0.715, 1.090, 0.493); under two minutes on an H100, compilation included.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(
    votes,
    train=dataclasses.replace(votes.train, method="mc-dropout"),
    model=dataclasses.replace(votes.model, dropout=0.2),
)
