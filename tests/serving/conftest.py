"""A router without a network, so that what happens around it can be tested in milliseconds."""

import numpy as np
import pytest

from ferjax.faces.votes import CLASSES
from ferjax.serving.program import Rule
from ferjax.serving.router import Decision, explain


class FakeRouter:
    """Decides by brightness: dark faces are accepted, bright ones rejected; counts its calls."""

    batch_size = 4
    classes = CLASSES
    extra_scores = ()

    def __init__(self):
        self.batches = []

    def __call__(self, faces):
        assert faces.dtype == np.uint8 and faces.shape[1:] == (48, 48)
        self.batches.append(len(faces))
        return [self._decide(float(face.mean()) / 255) for face in faces]

    def _decide(self, brightness):
        shares = {
            name: (1 - brightness if i == 0 else brightness / 7) for i, name in enumerate(CLASSES)
        }
        action = "reject" if brightness > 0.5 else "accept"
        why = explain(
            action,
            shares,
            {"aleatoric": 0.0, "epistemic": brightness},
            Rule("aleatoric", 1, "epistemic", 0.5),
            0.05,
        )
        return Decision(action, CLASSES[0], shares, 0.0, brightness, why)


@pytest.fixture
def router():
    return FakeRouter()
