"""The dual validation against scipy and scikit-learn, from predictions that no network made."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

from ferjax.analysis import scores, validation

RESAMPLES = 50


@pytest.fixture(scope="module")
def tables(predicted):
    return validation.validate(predicted, resamples=RESAMPLES)


def own_scores(log_probs):
    """Every score from its definition, in float64 numpy."""
    p = np.exp(np.asarray(log_probs, np.float64))
    total, aleatoric = scipy.special.entr(p.mean(0)).sum(-1), scipy.special.entr(p).sum(-1).mean(0)
    return {"epistemic": total - aleatoric, "aleatoric": aleatoric, "total": total, "max_prob": 1 - p.mean(0).max(-1),
            "single_max_prob": 1 - p[0].max(-1)}


def test_scores_are_their_definitions(predicted):
    got = scores.from_log_probs(predicted["test"].log_probs)
    expected = own_scores(predicted["test"].log_probs)
    assert set(got) == set(expected) == set(scores.LABELS)
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], atol=2e-6, err_msg=name)


def test_disagreement_is_scipys_correlation(predicted, tables):
    votes = predicted["test"].votes
    delta = np.round(1 - votes[:, :8].max(1) / 10, 9)
    entropy = scipy.stats.entropy(np.sort(votes[:, :8]), axis=1).round(9)
    low, high = np.quantile(entropy, [1 / 3, 2 / 3])
    some = (entropy <= low) | (entropy >= high)
    assert tables["v1"]["ambiguous"] == (entropy >= high).sum()
    assert tables["v1"]["clear"] == (entropy <= low).sum()
    for name, score in scores.from_log_probs(predicted["test"].log_probs).items():
        row = tables["v1"]["scores"][name]
        rho = row["spearman"]
        assert rho["value"] == pytest.approx(scipy.stats.spearmanr(score, delta).statistic, abs=1e-5)
        assert rho["low"] < rho["value"] < rho["high"]
        assert row["share_of_ceiling"] == pytest.approx(rho["value"] / tables["v1"]["ceiling"])
        auroc = sklearn.metrics.roc_auc_score((entropy >= high)[some], np.asarray(score)[some])
        assert row["auroc_ambiguous"]["value"] == pytest.approx(auroc, abs=1e-5)
    assert 0.5 < tables["v1"]["ceiling"] < 1


def test_deciles_hold_every_face_once_in_order(predicted, tables):
    deciles = tables["v1"]["deciles"]
    assert [d["faces"] for d in deciles] == [15] * 10
    assert np.all(np.diff([d["aleatoric"] for d in deciles]) > 0)
    mean = np.mean([d["disagreement"] for d in deciles])
    assert mean == pytest.approx((1 - predicted["test"].votes[:, :8].max(1) / 10).mean(), abs=1e-5)


def test_shift_is_scikit_learns_auroc(predicted, tables):
    clean = own_scores(predicted["test"].log_probs)
    for condition, severity in (("gnoise_1", 1), ("gnoise_5", 5)):
        shifted = own_scores(predicted[condition].log_probs)
        for name in clean:
            both = np.concatenate([clean[name], shifted[name]])
            expected = sklearn.metrics.roc_auc_score(np.repeat([0, 1], len(clean[name])), both)
            row = tables["v2"]["corruptions"]["gnoise"][severity][name]
            assert row["value"] == pytest.approx(expected, abs=1e-4)
            assert row["low"] <= row["value"] <= row["high"]
            assert tables["v2"]["curve"][name][severity] == row["value"]
    assert tables["v2"]["natural"]["not_a_face"]["faces"] == 20
    assert tables["shift_severity"] == 5


def test_a_curve_is_the_unweighted_mean_over_corruptions(predicted, tables):
    other = dataclasses.replace(predicted["gnoise_1"], condition="blur_5", corruption="blur", severity=5)
    more = validation.validate({**predicted, "blur_5": other}, resamples=RESAMPLES)["v2"]
    first = tables["v2"]["curve"]["epistemic"]
    assert more["curve"]["epistemic"][5] == pytest.approx((first[5] + first[1]) / 2, abs=1e-6)
    assert more["curve"]["epistemic"][1] == first[1]


def test_cross_table_repeats_both_sides_for_every_score(tables):
    assert set(tables["cross"]) == set(scores.LABELS)
    for name, row in tables["cross"].items():
        assert row == {"disagreement": tables["v1"]["scores"][name]["spearman"]["value"], "shift": tables["v2"]["curve"][name][5]}
    assert -1 <= tables["rank_correlation"]["value"] <= 1


def test_classification_is_counted(predicted, tables):
    p = np.exp(predicted["test"].log_probs.astype(np.float64))
    q, got = predicted["test"].votes[:, :8] / 10, tables["classification"]
    labels = q.argmax(1)
    assert got["accuracy"] == pytest.approx((p.mean(0).argmax(1) == labels).mean())
    assert got["member_accuracy"] == pytest.approx((p.argmax(-1) == labels).mean(-1))
    assert got["nll"] == pytest.approx(-(q * np.log(p.mean(0))).sum(1).mean(), abs=1e-5)
    assert got["brier"] == pytest.approx(((p.mean(0) - q) ** 2).sum(1).mean(), abs=1e-5)
    assert got["majority_class"] == np.bincount(labels).max() / len(labels)
    assert got["faces"] == len(labels)


def test_the_order_of_faces_changes_no_value(predicted, tables):
    order = np.random.default_rng(1).permutation(len(predicted["test"].ids))

    def shuffle(p):
        if len(p.ids) != len(order):
            return p
        return dataclasses.replace(p, log_probs=p.log_probs[:, order], ids=p.ids[order], votes=p.votes[order], truth=p.truth[order])

    again = validation.validate({name: shuffle(p) for name, p in predicted.items()}, resamples=RESAMPLES)
    for name in scores.LABELS:
        assert again["cross"][name] == pytest.approx(tables["cross"][name], abs=1e-5)


def test_without_corruptions_there_is_no_shift_to_show(predicted):
    tables = validation.validate({name: predicted[name] for name in ("test", "valid")}, resamples=RESAMPLES)
    assert tables["v2"]["corruptions"] == {}
    assert tables["shift_severity"] is None
    assert tables["cross"]["epistemic"]["shift"] is None


def test_other_faces_and_missing_votes_are_refused(predicted):
    moved = dataclasses.replace(predicted["gnoise_5"], ids=predicted["gnoise_5"].ids + 1)
    with pytest.raises(ValueError, match="gnoise_5 holds other faces than the clean test split"):
        validation.validate({"test": predicted["test"], "gnoise_5": moved}, resamples=RESAMPLES)
    with pytest.raises(ValueError, match="needs condition 'test' with votes; got valid"):
        validation.validate({"valid": predicted["valid"]})
    with pytest.raises(ValueError, match="with votes"):
        validation.validate({"test": dataclasses.replace(predicted["test"], votes=None)})
