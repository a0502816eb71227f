"""DINOv2 S/14 at 112 pixels, five members fully fine-tuned, for one small GPU.

    ferjax train configs/ferplus_dinov2_s14.py --out runs/s14_full \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14
Needs 8 GiB (see --dry-run). Layer-wise learning-rate decay keeps the early blocks near their
pretrained weights. Not measured here.
"""

from ferjax.config import Config, DataConfig, EvaluateConfig, TrainConfig, dinov2

config = Config(
    data=DataConfig(name="ferplus", path="data/ferplus"),
    model=dinov2(
        "s14",
        112,
        pretrained="weights/dinov2_vits14",
        dtype="bfloat16",
        remat=True,
        head="cls+mean",
        drop_path=0.1,
    ),
    train=TrainConfig(
        epochs=12,
        batch_size=128,
        accumulate=2,
        learning_rate=1e-4,
        warmup_epochs=1,
        weight_decay=0.05,
        layer_decay=0.75,
    ),
    evaluate=EvaluateConfig(fit_corruptions=("gnoise", "blur", "occlude")),
)
