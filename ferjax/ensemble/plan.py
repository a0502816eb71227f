"""What a run starts from and where it goes, before anything is trained."""

from collections.abc import Sequence
from typing import Any

import jax

from ferjax.config import Config, TrainConfig
from ferjax.ensemble import placement
from ferjax.events import OnEvent, silent
from ferjax.faces.dataset import Dataset
from ferjax.models import vit
from ferjax.models.pretrained import load_pretrained

__all__ = ["dry_run", "place", "starting_point", "steps_per_epoch"]


def starting_point(config: Config, on_event: OnEvent = silent) -> tuple[Any, Any]:
    """The frozen trunk, and the parameters that members start from.

    The first is None where every block is trained, the second where all begin at random.
    """
    trunk = vit.trunk_model(config.model)
    if config.model.pretrained:
        whole = load_pretrained(config.model.pretrained, config.model, on_event)
        frozen, trained = vit.split(whole, config.model)
        return (None if trunk is None else frozen), trained
    return (None if trunk is None else trunk.init(jax.random.key(config.train.seeds[0]))), None


def steps_per_epoch(c: TrainConfig, faces: int) -> int:
    """How many whole batches the training faces give.

    Raises:
      ValueError: if they do not fill one.
    """
    if faces < c.batch_size:
        raise ValueError(f"train.batch_size {c.batch_size} is more than the {faces} training faces")
    return faces // c.batch_size


def place(
    config: Config,
    dataset: Dataset,
    *,
    devices: Sequence[jax.Device] | None = None,
    replicas: int | None = None,
    chunk: int | None = None,
) -> placement.Choice:
    """Where a run over these faces would go, see :func:`ferjax.ensemble.placement.choose`."""
    return placement.choose(
        config,
        dataset.spec,
        train_faces=len(dataset["train"].ids),
        valid_faces=len(dataset["valid"].ids),
        devices=devices,
        replicas=replicas,
        chunk=chunk,
    )


def dry_run(
    config: Config,
    dataset: Dataset,
    *,
    replicas: int | None = None,
    chunk: int | None = None,
    on_event: OnEvent = silent,
) -> placement.Placed:
    """What training would cost; data and weights are checked, nothing is trained or written.

    Args:
      config: the run.
      dataset: its data.
      replicas: see :func:`ferjax.ensemble.placement.choose`.
      chunk: likewise.
      on_event: told what of the weights was left out.

    Returns:
      Where the run would go, and what it takes there; the layout's words name the next best.

    Raises:
      ValueError: as training it would.
    """
    steps_per_epoch(config.train, len(dataset["train"].ids))
    choice = place(config, dataset, replicas=replicas, chunk=chunk)
    starting_point(config, on_event)
    return choice.best._replace(budget=choice.best.budget._replace(layout=str(choice)))
