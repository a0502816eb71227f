"""A baseline without pretrained weights: five small ViTs from scratch on FER+ at 48 pixels.

    ferjax data ferplus --fer2013 fer2013.csv --votes fer2013new.csv --out data/ferplus
    ferjax train configs/ferplus_scratch.py --out runs/scratch --data.path data/ferplus
12 minutes on 2 CPU cores; test accuracy 0.570 (stand-in split), rho(aleatoric, disagreement) 0.24.
"""

from ferjax.config import Config, DataConfig, ModelConfig, TrainConfig

config = Config(
    data=DataConfig(name="ferplus", path="data/ferplus"),
    model=ModelConfig(image_size=48, patch_size=12, dim=96, depth=4, heads=3, head="cls+mean"),
    train=TrainConfig(epochs=8, batch_size=64, learning_rate=2e-3, warmup_epochs=1),
)
