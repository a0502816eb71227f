"""A text baseline: five bags of hashed n-grams on GoEmotions' simplified files.

    ferjax train configs/texts_goemotions.py --out runs/texts --data.path 'data/goemotions_*.tsv' \
        --data.held-out goemotions_raters.jsonl
    ferjax judge predict runs/texts --texts goemotions_raters.jsonl --out runs/texts/baseline.npz
    ferjax judge compare goemotions_raters.jsonl runs/texts/baseline.npz --out runs/texts/report

About a minute on 2 CPU cores. Texts that are to be judged are not trained on (held_out).
"""

from ferjax.config import GOEMOTIONS, Config, DataConfig, ModelConfig, TrainConfig

config = Config(
    data=DataConfig(name="texts", path="goemotions_simplified_*.tsv", classes=GOEMOTIONS),
    model=ModelConfig(network="ngrams", buckets=32768, dim=32),
    train=TrainConfig(
        epochs=4, batch_size=256, learning_rate=5e-3, warmup_epochs=0.2, weight_decay=0.0
    ),
)
