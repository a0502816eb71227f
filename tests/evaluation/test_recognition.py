"""What an array of predictions holds: recognised by every row, or refused."""

import numpy as np
import pytest
import scipy.special

from ferjax.evaluation.recognition import to_log_probs


@pytest.fixture
def probs(rng):
    return rng.dirichlet(np.ones(8), (3, 40))


@pytest.mark.parametrize(
    "of, message",
    [
        (lambda p: 100 * p, "another scale, such as percentages"),
        (lambda p: 10 * p, "another scale, such as percentages"),
        (lambda p: np.round(1000 * p), "another scale, such as percentages"),
        (np.log2, "logarithms of probabilities to base 2"),
        (np.log10, "logarithms of probabilities to base 10"),
        (lambda p: -np.log(p), "negative logarithms of probabilities"),
    ],
)
@pytest.mark.parametrize("kind", [None, "logits"])
def test_other_scales_are_refused_under_any_name(probs, of, message, kind):
    with pytest.raises(ValueError, match=message):
        to_log_probs(of(probs), kind)
    assert to_log_probs(np.log(probs), "logits")[1] == "logits"  # log-probabilities are logits


@pytest.mark.parametrize("share", [1 / 120, 0.3, 0.7])
@pytest.mark.parametrize("name, of", [("log-probabilities", np.log), ("probabilities", np.array)])
def test_an_array_of_two_kinds_is_refused_by_its_first_bad_row(probs, of, name, share):
    values = of(probs)
    bad = max(1, round(share * 120))
    rows = np.arange(120)[-bad:]
    values.reshape(120, 8)[rows] = np.linspace(-3, 4, 8)
    member, item = divmod(int(rows[0]), 40)
    with pytest.raises(ValueError, match=f"rows are {name}, those of member {member}, item {item}"):
        to_log_probs(values)


def test_logits_stay_logits(rng):
    for scale in (0.1, 1.0, 20.0):
        values = scale * rng.normal(size=(2, 50, 5))
        got, kind = to_log_probs(values)
        assert kind == "logits"
        np.testing.assert_allclose(got, scipy.special.log_softmax(values, -1), atol=1e-4)


def test_probabilities_named_logits_are_refused(probs):
    with pytest.raises(ValueError, match="named logits are probabilities"):
        to_log_probs(probs, "logits")


def test_blocks_give_what_the_whole_gives(probs, monkeypatch):
    whole = to_log_probs(probs)[0]
    monkeypatch.setattr("ferjax.evaluation.recognition._BLOCK", 24)
    np.testing.assert_array_equal(to_log_probs(probs)[0], whole)
