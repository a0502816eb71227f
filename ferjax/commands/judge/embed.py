"""``ferjax judge embed``: texts to vectors, by the weights of a sentence encoder."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import NewFile
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Embed:
    """Map texts to vectors by the weights of a sentence encoder, computed here.

        ferjax judge embed weights/all-MiniLM-L6-v2 ratings.jsonl \\
          --classes joy anger --out e.npz

    WEIGHTS is a folder as sentence-transformers publish them (config.json, model.safetensors,
    tokenizer.json, 1_Pooling/config.json) of a BERT; its tokenizer is read by the
    package tokenizers. Each text is embedded once; the file finds it again by what it says. Nothing
    is sent or fetched.

    TEXTS are CSV or JSON lines with a column or key text, or .tsv without a header: text, tab,
    labels; several by wildcards.

        item,text
        t1,what a day
    """

    weights: Annotated[Positional[Path], arg(metavar="WEIGHTS"), Reads(inputs.there)]
    """Folder of the encoder."""
    texts: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="TEXTS...", help_behavior_hint="(required)"),
        Reads(inputs.texts),
    ]
    """Files of texts."""
    out: NewFile
    """File of the embeddings (.npz)."""
    classes: Annotated[tuple[str, ...], arg(metavar="NAME...", help_behavior_hint="")] = ()
    """Names of classes, embedded too: the transparency of classes needs them."""

    def run(self) -> int:
        from ferjax.files import require_writable
        from ferjax.texts.embeddings import write_embeddings
        from ferjax.texts.items import texts_in

        if self.out.suffix != ".npz":
            raise ValueError(f"--out must be a .npz file, got {self.out}")
        require_writable(self.out, reads=self.texts)
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"--classes: expected different names, got {' '.join(self.classes)}")
        if not self.texts:
            raise ValueError("no texts: give files of texts")
        texts = texts_in(self.texts)
        from ferjax.commands.display import Console
        from ferjax.models.sentences import SentenceEncoder

        encoder = SentenceEncoder(self.weights)
        with Console() as on_event:
            vectors = encoder(texts, on_event)
        of_names = encoder(self.classes) if self.classes else None
        write_embeddings(self.out, texts, vectors, self.classes, of_names)
        named = f", {len(self.classes)} classes" if self.classes else ""
        out.print(f"{len(texts):,} texts{named}, {encoder.width} columns: {self.out}")
        following = (
            f"ferjax train texts_goemotions --out RUN --model.network embeddings --model.dim "
            f"{encoder.width} --data.embeddings {self.out}"
        )
        if self.classes:
            following = (
                "ferjax judge compare PANEL JUDGES... --out OUT --lexicon WORDS --embeddings "
                f"{self.out}"
            )
        out.print(f"next: {following}", soft_wrap=True)
        return 0
