"""As ferplus_s14_votes.py, by the likelihood of the counts: each vote weighs the same.

    ferjax train configs/ferplus_s14_multinomial.py --out runs/s14_multinomial \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Stand-in test split, one network (--train.seeds 42), bfloat16: accuracy 0.694, NLL 1.137, rho 0.474
(one network of votes: 0.704, 1.132, 0.479); 22 minutes on 2 busy CPU cores.
"""

import dataclasses
import runpy
from pathlib import Path

votes = runpy.run_path(str(Path(__file__).with_name("ferplus_s14_votes.py")))["config"]
config = dataclasses.replace(votes, train=dataclasses.replace(votes.train, method="multinomial"))
