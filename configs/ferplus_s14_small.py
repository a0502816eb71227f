"""The first 3 blocks of DINOv2 S/14 at 56 pixels: the student that becomes the model in the box.

    ferjax distil runs/first4 --config ferplus_s14_small --out runs/student
    ferjax members round runs/student --out runs/small
    ferjax evaluate runs/small
    ferjax export runs/small --small --out faces.ferjax
Or, taught by the votes alone:
    ferjax train configs/ferplus_s14_small.py --out runs/small --train.method dirichlet
One network of 5.6 million numbers, all of them trained, on eight views of each face.
"""

from ferjax.config import Config, DataConfig, TrainConfig, dinov2

config = Config(
    data=DataConfig(name="ferplus", path="data/ferplus"),
    model=dinov2(
        "s14",
        56,
        depth=3,
        pretrained="weights/dinov2_vits14.safetensors",
        head="cls+mean",
        flips=True,
    ),
    train=TrainConfig(
        seeds=(42,),
        epochs=5,
        batch_size=64,
        learning_rate=2e-4,
        warmup_epochs=0.5,
        weight_decay=0.05,
        layer_decay=0.8,
        views=8,
    ),
)
