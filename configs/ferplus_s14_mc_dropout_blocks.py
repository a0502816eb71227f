"""As ferplus_s14_mc_dropout.py, with dropout after the activation of every trained block.

    ferjax train configs/ferplus_s14_mc_dropout_blocks.py --out runs/s14_mc_dropout_blocks \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Ten passes, each through the four trained blocks. Stand-in test split, one network
(--train.seeds 42), bfloat16: accuracy 0.695, NLL 1.132, rho 0.473 (one network of votes: 0.704,
1.132, 0.479); 30 minutes on 2 busy CPU cores.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(
    votes,
    train=dataclasses.replace(votes.train, method="mc-dropout"),
    model=dataclasses.replace(votes.model, dropout=0.1, dropout_at="blocks"),
    evaluate=dataclasses.replace(votes.evaluate, passes=10),
)
