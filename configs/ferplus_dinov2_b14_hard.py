"""The paper's ensemble with hard labels: as ferplus_dinov2_b14.py, on the most voted class alone.

    ferjax train configs/ferplus_dinov2_b14_hard.py --out runs/b14_hard \
        --data.path data/ferplus --model.pretrained weights/dinov2_vitb14
Beside the soft-label arm it shows how much of aleatoric comes from having seen the votes. Not
measured here.
"""

import dataclasses
import runpy
from pathlib import Path

soft = runpy.run_path(str(Path(__file__).with_name("ferplus_dinov2_b14.py")))["config"]
config = dataclasses.replace(soft, train=dataclasses.replace(soft.train, method="labels"))
