"""Predictions without any network: log-probabilities that follow the votes, and lose their footing under a corruption."""

import numpy as np
import pytest
import scipy.special

from ferjax.predictions import Predictions

MEMBERS, FACES = 3, 150


@pytest.fixture(scope="package")
def predicted():
    """Clean valid and test, two severities of one corruption, and a handful of strangers."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(8, 0.3), 2 * FACES)
    votes = np.concatenate([rng.multinomial(10, truth), np.zeros((2 * FACES, 2), int)], axis=1)

    def log_probs(rows, spread):
        logits = np.log(truth[rows] + 0.03)[None] + spread * rng.normal(size=(MEMBERS, len(rows), 8))
        return scipy.special.log_softmax(logits, -1).astype(np.float32)

    def of(rows, spread, **about):
        return Predictions(log_probs(rows, spread), rows, votes[rows], truth[rows], **about)

    valid, test = np.arange(FACES), np.arange(FACES, 2 * FACES)
    made = [of(valid, 0.3, condition="valid"), of(test, 0.3, condition="test"),
            of(test, 0.5, condition="gnoise_1", corruption="gnoise", severity=1),
            of(test, 1.5, condition="gnoise_5", corruption="gnoise", severity=5),
            Predictions(log_probs(valid[:20], 2.0), valid[:20] + 1000, condition="not_a_face")]
    return {p.condition: p for p in made}
