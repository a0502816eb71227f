"""The first 4 blocks of DINOv2 S/14 at 56 pixels, all trained, for an hour of two CPU cores.

    ferjax train configs/ferplus_dinov2_s14_first4.py --out runs/s14 \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
Eight views of each face under harmless changes, and a concentration per face fitted to the vote
counts: 38 minutes on 2 cores with AMX, JAX 0.12 and --model.dtype bfloat16. With weights
fine-tuned further from DINOv2 (not the stock checkpoint): accuracy 0.727 on the stand-in test split
(ferplus_s14_votes: 0.715), rho(aleatoric, disagreement) 0.568. What it forgets of its weights
costs strangers: half of photographs without a face are rejected, where a frozen trunk's densities
see nine in ten; take ferplus_dinov2_s14_cpu where such pictures may come, and for accuracy.
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
        "s14", 56, depth=4, pretrained="weights/dinov2_vits14.safetensors", head="cls+mean"
    ),
    train=TrainConfig(
        method="dirichlet",
        epochs=6,
        batch_size=64,
        learning_rate=2e-4,
        warmup_epochs=0.5,
        weight_decay=0.05,
        layer_decay=0.8,
        views=8,
    ),
    evaluate=EvaluateConfig(
        corruptions=PAPER_CORRUPTIONS,
        fit_corruptions=BASE_CORRUPTIONS,
    ),
)
