"""``ferjax judge parse``: from raw answers to judgments."""

import dataclasses
import json

from ferjax.commands.arguments import Collection, OptionalNewFile
from ferjax.commands.console import out


@dataclasses.dataclass(frozen=True)
class Parse:
    """Read the raw answers of a collection and count what they say.

        ferjax judge parse RUN

    Reads collection.json and the answers in RUN and no other file: what was asked, and which labels
    there are, the collection says itself. Asks nobody, and can be repeated as often as you like.
    What cannot be read is counted as unparsed, by reason, and stands for no label. Writes
    judgments.npz and parsed.json.
    """

    folder: Collection
    """Folder that `ferjax judge collect --out` wrote."""
    out: OptionalNewFile = None
    """File of the judgments; judgments.npz in that folder unless given."""

    def run(self) -> int:
        from ferjax.files import require_folder, require_writable, write_atomically
        from ferjax.texts.answers import judgments_of
        from ferjax.texts.store import read_description

        path = self.folder / "judgments.npz" if self.out is None else self.out
        read_description(self.folder)  # what is no collection should be called that
        require_folder(path.parent)
        require_writable(path, suffixes=(".npz",))
        parsed = judgments_of(self.folder)
        parsed.judgments.save(path)
        report = json.dumps(parsed.to_json(), indent=2, ensure_ascii=False) + "\n"
        write_atomically(path.with_name("parsed.json"), report.encode())
        unparsed = sum(parsed.unparsed.values())
        j = parsed.judgments
        lines = [
            f"{parsed.answers:,} answers of {len(j.judges)} judges to {len(j.ids):,} texts; "
            f"{unparsed:,} unparsed ({100 * unparsed / parsed.answers:.1f} %)"
        ]
        lines += [f"  {count:,} × {why}" for why, count in parsed.unparsed.most_common(8)]
        if parsed.unknown:
            names = ", ".join(f"{name!r} {n}" for name, n in parsed.unknown.most_common(8))
            lines.append(f"no labels: {names} (list what they stand for under synonyms)")
        if parsed.open:
            lines.append(
                f"{parsed.open:,} slots without an answer; `ferjax judge collect` asks them"
            )
        lines.append(f"judgments: {path}")
        lines.append(f"next: ferjax judge compare RATINGS {path} --out FOLDER")
        for line in lines:
            out.print(line)
        return 0
