"""``ferjax judge predict``: a trained run over texts as one more judge."""

import dataclasses
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from ferjax.commands import inputs
from ferjax.commands.arguments import File, NewFile, Run
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class Predict:
    """Let a run that was trained on texts judge texts: probabilities of every member.

        ferjax judge predict RUN --texts texts.csv --out baseline.npz

    Texts have the columns (or keys) id and text; a panel of people's ratings that holds its texts
    will do.

        id,text
        t1,what a day

    OUT is one more file of JUDGES for `ferjax judge compare`.
    """

    folder: Run
    """Folder that `ferjax train` wrote."""
    texts: Annotated[Path, arg(metavar="FILE"), Reads(inputs.file)]
    """CSV, TSV or JSON lines with id and text."""
    out: NewFile
    """File of the predictions (.npz); items are numbered as they come in the texts' file."""
    embeddings: File = None
    """Embeddings of these texts (a file of `ferjax judge embed`, or .npy in their order), where the
    run takes such."""

    def run(self) -> int:
        import numpy as np

        from ferjax.files import require_folder, require_writable
        from ferjax.texts.items import read_texts

        texts = read_texts(self.texts)
        require_folder(self.out.parent)
        require_writable(self.out, (self.texts, self.embeddings), (".npz",))
        from ferjax.commands.display import Console
        from ferjax.ensemble.text_prediction import predict_texts
        from ferjax.ensemble.trained import load_run
        from ferjax.predictions import Predictions
        from ferjax.texts.dataset import encode

        with Console() as on_event:
            trained = load_run(self.folder, on_event)
            given = "" if self.embeddings is None else str(self.embeddings)
            stored = encode(trained.config, texts.texts, given)
            log_probs = predict_texts(trained, stored, on_event)
        Predictions(
            log_probs,
            np.arange(len(texts.ids)),
            condition=self.out.stem,
            classes=trained.spec.classes,
        ).save(self.out)
        out.print(f"{len(log_probs)} members, {len(texts.ids):,} texts: {self.out}")
        out.print(f"next: ferjax judge compare {self.texts} {self.out} --out FOLDER")
        return 0
