"""GoEmotions' 28 categories, several of which may apply, asked of language models.

    ferjax judge collect configs/judge_goemotions.py --texts texts.jsonl \
        --base-url http://127.0.0.1:8080/v1 --model NAME --out runs/judges
    ferjax judge parse runs/judges
    ferjax judge compare RATINGS runs/judges/judgments.npz --out runs/judges/report

20 answers a text and model; --dry-run says how many requests and tokens that is.
"""

from ferjax.config import GOEMOTIONS, CollectConfig

config = CollectConfig(
    texts="texts.jsonl",
    labels=GOEMOTIONS,
    none_label="neutral",
    temperatures=(0.7, 1.0),
    samples=10,
)
