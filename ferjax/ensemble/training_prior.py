"""How frequent each class is among what a run is trained towards."""

from ferjax import priors
from ferjax.config import Config
from ferjax.faces.dataset import Dataset

__all__ = ["trained_under"]


def trained_under(config: Config, dataset: Dataset) -> tuple[float, ...]:
    """The training prior ``[class]`` of a run's data: of vote distributions, or of most voted
    classes where the run's method learns these alone."""
    method = config.train.method
    options = getattr(config.train, method, None)
    hard = method == "labels" or getattr(options, "target", "votes") == "labels"
    return priors.training_prior(dataset["train"].q, hard=hard)
