"""The network that each member trains, by ``model.network``."""

from ferjax.config import ModelConfig
from ferjax.models import vit
from ferjax.models.text import text_model
from ferjax.models.vit import Model

__all__ = ["members_model"]


def members_model(config: ModelConfig, num_classes: int, extra: int = 0) -> Model:
    """The part of the network each member trains for itself.

    Args:
      config: the architecture.
      num_classes: width of the head.
      extra: further outputs per item.
    """
    if config.network == "vit":
        return vit.members_model(config, num_classes, extra)
    return text_model(config, num_classes, extra)
