"""The paper's ensemble: DINOv2 B/14 at 224 pixels, five members fine-tuned on FER+ votes.

    ferjax train configs/ferplus_dinov2_b14.py --out runs/b14 \
        --data.path data/ferplus --model.pretrained weights/dinov2_vitb14
The weights may be Hugging Face's, the original's or timm's; --dry-run says parameters, FLOPs and
memory first. All blocks are trained, with seeds 42-46. Meant for accelerators: bfloat16 compute,
float32 parameters, recomputed blocks, every member on its own device where there are five. The
paper reports rho(aleatoric, disagreement) 0.66 and a severity-5 AUROC of 0.699; not measured here.
"""

from ferjax.config import PAPER_CORRUPTIONS, Config, DataConfig, EvaluateConfig, TrainConfig, dinov2

config = Config(
    data=DataConfig(name="ferplus", path="data/ferplus"),
    model=dinov2(
        "b14", 224, pretrained="weights/dinov2_vitb14", dtype="bfloat16", remat=True, head="cls"
    ),
    train=TrainConfig(
        seeds=(42, 43, 44, 45, 46),
        epochs=25,
        batch_size=256,
        learning_rate=5e-5,
        warmup_epochs=0,
        weight_decay=0.05,
    ),
    evaluate=EvaluateConfig(
        corruptions=PAPER_CORRUPTIONS,
        fit_corruptions=("gnoise", "blur", "occlude"),
    ),
)
