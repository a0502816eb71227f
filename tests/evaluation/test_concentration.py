"""Concentrations that predictions bring, or that are fitted to valid or to test items."""

import dataclasses

import numpy as np
import pytest

from ferjax.evaluation.concentration import with_concentrations
from ferjax.recalibration import LEAST_ITEMS, Concentration


def test_fitted_on_valid_and_cross_fitted_there(predicted):
    found = with_concentrations(predicted)
    assert (found.fit.source, found.fit.items, found.fit.folds) == ("valid", 150, 5)
    fitted = Concentration(**{n: np.array(of, np.float32) for n, of in found.fit.fitted.items()})
    assert fitted.weights.shape == (3, 17)

    def of_member(p):
        one = Concentration(*(leaf[1] for leaf in fitted))
        return np.asarray(one.apply(p.log_probs[1]))

    for name, p in found.predictions.items():
        own = p.log_concentration[1]
        assert own.shape == (len(p.ids),)
        if name == "valid":
            assert np.abs(own - of_member(p)).max() > 1e-3
            assert np.corrcoef(own, of_member(p))[0, 1] > 0.5
        else:
            np.testing.assert_allclose(own, of_member(p), atol=1e-4)


def test_the_votes_of_test_items_do_not_move_their_concentrations(predicted):
    """Nor does a valid item's own vote: another one changes the others' only."""
    before = with_concentrations(predicted).predictions
    votes = predicted["valid"].votes.copy()
    votes[0] = votes[0][::-1]
    changed = {
        **predicted,
        "test": dataclasses.replace(predicted["test"], votes=predicted["test"].votes[::-1]),
        "valid": dataclasses.replace(predicted["valid"], votes=votes),
    }
    after = with_concentrations(changed).predictions
    for name in ("test", "valid"):
        one, other = (of[name].log_concentration for of in (before, after))
        np.testing.assert_allclose(one[:, 0], other[:, 0], atol=1e-5 if name == "valid" else 0.5)
    assert (before["valid"].log_concentration != after["valid"].log_concentration).any()


def test_copies_of_valid_items_keep_their_items_folds(predicted):
    rows = np.arange(0, 150, 3)
    p = predicted["valid"]
    copy = dataclasses.replace(
        p,
        log_probs=p.log_probs[:, rows],
        ids=p.ids[rows],
        votes=None,
        truth=None,
        condition="valid_blur_3",
        corruption="blur",
        severity=3,
    )
    found = with_concentrations({**predicted, "valid_blur_3": copy}).predictions
    np.testing.assert_allclose(
        found["valid_blur_3"].log_concentration,
        found["valid"].log_concentration[:, rows],
        atol=1e-5,
    )


@pytest.mark.parametrize("without", ["no valid", "valid without votes"])
def test_without_votes_on_valid_the_test_items_take_their_place(predicted, without):
    given = {name: p for name, p in predicted.items() if name != "valid"}
    if without == "valid without votes":
        given["valid"] = dataclasses.replace(predicted["valid"], votes=None)
    found = with_concentrations(given)
    assert found.fit.source == "test"
    votes = given["test"].votes.copy()
    votes[7] = votes[7][::-1]
    changed = {**given, "test": dataclasses.replace(given["test"], votes=votes)}
    again = with_concentrations(changed).predictions
    for name in ("test", "gnoise_5"):
        np.testing.assert_allclose(
            found.predictions[name].log_concentration[:, 7],
            again[name].log_concentration[:, 7],
            atol=1e-5,
        )


def test_what_predictions_bring_is_kept(predicted):
    own = {
        name: dataclasses.replace(p, log_concentration=np.full(p.log_probs.shape[:2], 0.5, "f"))
        for name, p in predicted.items()
    }
    found = with_concentrations(own)
    assert found.fit.source == "predictions"
    assert found.fit.fitted is None
    assert found.predictions["test"].log_concentration is own["test"].log_concentration
    with pytest.raises(ValueError, match="condition gnoise_5 has no log_concentration and valid"):
        with_concentrations({**own, "gnoise_5": predicted["gnoise_5"]})


@pytest.mark.parametrize("kind", ["labels", "few"])
def test_labels_and_few_items_have_no_concentrations(predicted, kind):
    test = predicted["test"]
    if kind == "labels":
        test = dataclasses.replace(test, votes=np.eye(8, dtype=int)[test.votes.argmax(1)])
    else:
        rows = np.arange(LEAST_ITEMS - 1)
        test = dataclasses.replace(
            test, log_probs=test.log_probs[:, rows], ids=rows, votes=test.votes[rows], truth=None
        )
    found = with_concentrations({"test": test})
    assert found.fit.source == "none"
    assert found.predictions["test"].log_concentration is None
