"""Five tiny ViTs on synthetic faces: the quickstart's configuration, spelled out as a starting
point for your own.

    ferjax train configs/synthetic_tiny.py --out runs/tiny

About a minute of training on 2 CPU cores.
"""

from ferjax.config import Config

config = Config()
