"""As ferplus_s14_votes.py, mean and concentration both by the likelihood of the vote counts.

    ferjax train configs/ferplus_s14_dirichlet_joint.py --out runs/s14_dirichlet_joint \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
The control of ferplus_s14_dirichlet.py. Stand-in test split, one network
(--train.seeds 42), bfloat16: accuracy 0.685, NLL 1.149, rho 0.476 (one network of votes: 0.704,
1.132, 0.479); 11 minutes on 2 CPU cores.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(
    votes, train=dataclasses.replace(votes.train, method="dirichlet-joint")
)
