"""DINOv2 S/14 at 56 pixels for a laptop: top 4 blocks and head per member on one frozen trunk.

    ferjax train configs/ferplus_dinov2_s14_cpu.py --out runs/s14 \
        --data.path data/ferplus --model.pretrained weights/dinov2_vits14.safetensors
The trunk is held once and its tokens are cached: 40 minutes on 2 CPU cores. With weights fine-tuned
further from DINOv2 (not the stock checkpoint) and 24,436 training faces: ensemble accuracy 0.722 on
valid, 0.712 on the stand-in test split, rho(aleatoric, disagreement) 0.452. Its whole evaluation
(72 conditions) takes more than an hour more; --corruptions gnoise blur narrows it.
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
        56,
        pretrained="weights/dinov2_vits14.safetensors",
        trainable_blocks=4,
        head="cls+mean",
    ),
    train=TrainConfig(
        epochs=4, batch_size=64, learning_rate=1.5e-4, warmup_epochs=0.25, weight_decay=0.05
    ),
    evaluate=EvaluateConfig(
        corruptions=PAPER_CORRUPTIONS,
        fit_corruptions=BASE_CORRUPTIONS,
    ),
)
