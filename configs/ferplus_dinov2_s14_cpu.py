"""DINOv2 S/14 at 84 pixels for an hour of two CPU cores: three members on one frozen trunk.

    ferjax train configs/ferplus_dinov2_s14_cpu.py --out runs/s14 \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Top 4 blocks and head per member; the trunk is held once and the tokens of four views of each face
are cached (3 GB). With weights fine-tuned further from DINOv2 (not the stock checkpoint), bfloat16
and JAX 0.12 on two cores with AMX: accuracy 0.783 on the stand-in test split after four of its five
epochs, where the run was stopped, NLL 0.932, rho(aleatoric, disagreement) 0.616. Eight epochs with
--model.flips on an H100: 0.786, 0.922, 0.608. At 56 pixels (ferplus_s14_votes) 0.715, 1.090, 0.493.
"""

from ferjax.config import (
    BASE_CORRUPTIONS,
    PAPER_CORRUPTIONS,
    Config,
    DataConfig,
    EvaluateConfig,
    TrainConfig,
    dinov2,
)

config = Config(
    data=DataConfig(name="ferplus", path="data/ferplus"),
    model=dinov2(
        "s14",
        84,
        pretrained="weights/dinov2_vits14.safetensors",
        trainable_blocks=4,
        head="cls+mean",
    ),
    train=TrainConfig(
        method="dirichlet",
        seeds=(42, 43, 44),
        epochs=5,
        batch_size=64,
        learning_rate=2e-4,
        warmup_epochs=0.25,
        weight_decay=0.05,
        views=4,
    ),
    evaluate=EvaluateConfig(
        corruptions=PAPER_CORRUPTIONS,
        fit_corruptions=BASE_CORRUPTIONS,
    ),
)
