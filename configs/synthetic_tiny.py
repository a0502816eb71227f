"""Five tiny ViTs on synthetic faces: the quickstart's configuration, to start your own from.

    ferjax train configs/synthetic_tiny.py --out runs/tiny

About a minute of training on 2 CPU cores.
"""

from ferjax.config import Config

config = Config()
