"""``ferjax weights``: describes pretrained files, and exports members to one."""

import dataclasses
from typing import Annotated

from tyro.conf import Positional, arg

from ferjax.commands import inputs
from ferjax.commands.arguments import NewFolder, Number, Run
from ferjax.commands.console import out
from ferjax.commands.inputs import Reads


@dataclasses.dataclass(frozen=True)
class WeightsInfo:
    """Describe a weights file or folder: naming, size, patches, registers, positions, head."""

    source: Annotated[Positional[str], arg(metavar="WEIGHTS"), Reads(inputs.weights)]
    """A .safetensors file, a folder (sharded or not), a .pth file, or a hub name."""

    def run(self) -> int:
        from ferjax.models import pretrained, state_dicts

        state = pretrained.read_state(self.source)
        try:
            found = state_dicts.describe(state)
        except ValueError as error:
            raise ValueError(f"{self.source}: {error}") from error
        dtypes = ", ".join(sorted({str(v.dtype) for v in state.values()}))
        head = (
            "no classification head"
            if found.head_classes is None
            else f"a head of {found.head_classes} classes"
        )
        out.print(
            f"{self.source}: DINOv2 in {found.naming} naming, {found.parameters:,} parameters in "
            f"{len(state)} tensors ({dtypes})\n"
            f"dim {found.dim}, {found.depth} blocks, {found.mlp} MLP, patch {found.patch_size}, "
            f"{found.registers} registers, positions {found.grid} x {found.grid} "
            f"({found.grid * found.patch_size} px), resized by the rule {found.rule!r}\n{head}"
            + (f"\nleft out: {', '.join(found.left_out)}" if found.left_out else "")
            + f"\nnext: ferjax train CONFIG --out RUN --model.pretrained {self.source}",
        )
        return 0


@dataclasses.dataclass(frozen=True)
class WeightsExport:
    """Write one member of a run as a folder that Hugging Face's from_pretrained opens.

    It is a Dinov2ForImageClassification, or Dinov2WithRegistersForImageClassification.
    """

    run_folder: Run
    """Folder of a trained run."""
    out: NewFolder
    """Folder to create."""
    member: Number = 0
    """Which member, from 0."""

    def run(self) -> int:
        from ferjax.ensemble.folder import RunFolder
        from ferjax.files import require_new_folder

        require_new_folder(self.out)
        count = len(RunFolder(self.run_folder).config().train.seeds)
        if not 0 <= self.member < count:
            raise ValueError(f"no member {self.member}: this run has members 0..{count - 1}")
        from ferjax.commands.display import Console
        from ferjax.ensemble import trained as runs
        from ferjax.models import pretrained

        trained = runs.load_run(self.run_folder, Console())
        params = runs.member_params(trained, self.member)
        written = pretrained.write_hugging_face(
            params, trained.config.model, trained.spec.classes, self.out
        )
        out.print(
            f"wrote {written}\nnext: transformers' AutoModelForImageClassification.from_pretrained("
            f'"{written}")'
        )
        return 0
