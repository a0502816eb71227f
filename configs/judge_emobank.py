"""EmoBank's three scales, valence, arousal and dominance from 1 to 5, asked of language models.

    ferjax judge collect configs/judge_emobank.py --texts texts.csv \
        --base-url http://127.0.0.1:8080/v1 --model NAME --out runs/judges

20 answers a text and model; --dry-run says how many requests and tokens that is.
"""

from ferjax.config import VAD, CollectConfig

config = CollectConfig(
    texts="texts.csv",
    labels=VAD,
    kind="real",
    temperatures=(0.7, 1.0),
    samples=10,
    max_tokens=80,
)
