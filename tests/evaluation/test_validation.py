"""The dual validation against scipy and scikit-learn, from predictions that no network made."""

import dataclasses

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

from ferjax.evaluation import disagreement, ensemble_size, intervals, scores, shift, validation

RESAMPLES = 50
MEMBERS = 3


@pytest.fixture(scope="module")
def tables(predicted):
    return validation.validate(predicted, resamples=RESAMPLES)


def own_scores(log_probs):
    """Every score from its definition, in float64 numpy."""
    p = np.exp(np.asarray(log_probs, np.float64))
    total = scipy.special.entr(p.mean(0)).sum(-1)
    aleatoric = scipy.special.entr(p).sum(-1).mean(0)
    return {
        "epistemic": total - aleatoric,
        "aleatoric": aleatoric,
        "total": total,
        "max_prob": 1 - p.mean(0).max(-1),
        "single_max_prob": 1 - p[0].max(-1),
    }


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
        assert rho["value"] == pytest.approx(
            scipy.stats.spearmanr(score, delta).statistic, abs=1e-5
        )
        assert rho["low"] < rho["value"] < rho["high"]
        assert row["share_of_ceiling"]["value"] == pytest.approx(
            rho["value"] / tables["v1"]["ceiling"]["value"]
        )
        tau = row["kendall"]
        assert tau["value"] == pytest.approx(
            scipy.stats.kendalltau(score, delta).statistic, abs=1e-5
        )
        assert tau["low"] < tau["value"] < tau["high"]
        auroc = sklearn.metrics.roc_auc_score((entropy >= high)[some], np.asarray(score)[some])
        assert row["auroc_ambiguous"]["value"] == pytest.approx(auroc, abs=1e-5)
    assert 0.5 < tables["v1"]["ceiling"]["low"] < tables["v1"]["ceiling"]["high"] < 1


def test_differences_are_paired(tables):
    rows = tables["v1"]["scores"]
    assert "aleatoric_minus" not in rows["aleatoric"]
    for name, row in rows.items():
        if name != "aleatoric":
            gap = row["aleatoric_minus"]
            assert gap["value"] == pytest.approx(
                rows["aleatoric"]["spearman"]["value"] - row["spearman"]["value"], abs=1e-6
            )
    # Total and aleatoric rank nearly alike, so their difference is known far better than either.
    gap = rows["total"]["aleatoric_minus"]
    alone = rows["total"]["spearman"]
    assert gap["high"] - gap["low"] < 0.5 * (alone["high"] - alone["low"])
    minus = tables["v2"]["epistemic_minus"]
    assert "epistemic" not in minus
    for name, of in minus.items():
        curve = tables["v2"]["curve"]
        assert of[5]["value"] == pytest.approx(
            curve["epistemic"][5]["value"] - curve[name][5]["value"], abs=1e-6
        )


def test_groups_are_resampled_together(predicted, tables):
    """Every face twice, as pairs: the same values, and the intervals of the faces, not of twice as
    many."""

    def twice(p):
        rows = np.repeat(np.arange(len(p.ids)), 2)
        return dataclasses.replace(
            p,
            log_probs=p.log_probs[:, rows],
            ids=np.arange(len(rows)),
            votes=p.votes[rows],
            truth=p.truth[rows],
            groups=rows,
        )

    doubled = twice(predicted["test"])
    weights = intervals.draw(doubled, jax.random.key(0), RESAMPLES)
    np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
    rho = disagreement.disagreement_table(doubled, weights, jax.random.key(1))["scores"][
        "aleatoric"
    ]["spearman"]
    row = tables["v1"]["scores"]["aleatoric"]["spearman"]
    assert rho["value"] == pytest.approx(row["value"], abs=1e-6)
    assert rho["high"] - rho["low"] == pytest.approx(row["high"] - row["low"], rel=0.4)


def test_posterior_describes_every_face(predicted, tables):
    votes = predicted["test"].votes[:, :8]
    got = tables["v1"]["posterior"]
    assert 0 < got["mean_width"] < 1
    assert 0.5 < got["ceiling"] < 1
    for example in got["examples"]:
        counts = sorted(map(int, example["votes"].split(" : ")), reverse=True)
        assert example["faces"] == sum(
            sorted(row[row > 0], reverse=True) == counts for row in votes
        )
        assert example["low"] <= example["mean"] <= example["high"]


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
            assert tables["v2"]["curve"][name][severity]["value"] == pytest.approx(
                row["value"], abs=1e-6
            )
            labels = np.repeat([0, 1], len(clean[name]))
            assert row["aupr"] == pytest.approx(
                sklearn.metrics.average_precision_score(labels, both), abs=1e-3
            )
    natural = tables["v2"]["natural"]["not_a_face"]
    assert natural["faces"] == 20
    strangers = own_scores(predicted["not_a_face"].log_probs)
    for name in clean:
        labels = np.repeat([0, 1], [len(clean[name]), 20])
        both = np.concatenate([clean[name], strangers[name]])
        got = natural[name]
        assert got["auroc"]["value"] == pytest.approx(
            sklearn.metrics.roc_auc_score(labels, both), abs=1e-4
        )
        assert got["aupr"]["value"] == pytest.approx(
            sklearn.metrics.average_precision_score(labels, both), abs=1e-3
        )
        assert got["auroc"]["low"] <= got["auroc"]["value"] <= got["auroc"]["high"]
        false, true, _ = sklearn.metrics.roc_curve(labels, both, drop_intermediate=False)
        assert got["fpr_at_95"]["value"] == pytest.approx(false[true >= 0.95].min(), abs=1e-4)
    assert tables["shift_severity"] == 5


def test_a_curve_is_the_unweighted_mean_over_corruptions(predicted, tables):
    other = dataclasses.replace(
        predicted["gnoise_1"], condition="blur_5", corruption="blur", severity=5
    )
    more = validation.validate({**predicted, "blur_5": other}, resamples=RESAMPLES)["v2"]
    first, then = (
        {s: c["value"] for s, c in of["curve"]["epistemic"].items()} for of in (tables["v2"], more)
    )
    assert then[5] == pytest.approx((first[5] + first[1]) / 2, abs=1e-6)
    assert then[1] == first[1]


def test_cross_table_repeats_both_sides_for_every_score(tables):
    assert set(tables["cross"]) == set(scores.LABELS)
    for name, row in tables["cross"].items():
        assert row == {
            "disagreement": tables["v1"]["scores"][name]["spearman"],
            "shift": tables["v2"]["curve"][name][5],
        }
    assert -1 <= tables["rank_correlation"]["value"] <= 1


def test_classification_is_counted(predicted, tables):
    p = np.exp(predicted["test"].log_probs.astype(np.float64))
    q = predicted["test"].votes[:, :8] / 10
    got = tables["classification"]
    labels = q.argmax(1)
    assert got["accuracy"]["value"] == pytest.approx((p.mean(0).argmax(1) == labels).mean())
    assert got["member_accuracy"] == pytest.approx((p.argmax(-1) == labels).mean(-1))
    assert got["nll"]["value"] == pytest.approx(-(q * np.log(p.mean(0))).sum(1).mean(), abs=1e-5)
    assert got["brier"]["value"] == pytest.approx(((p.mean(0) - q) ** 2).sum(1).mean(), abs=1e-5)
    assert got["majority_class"] == np.bincount(labels).max() / len(labels)
    assert got["faces"] == len(labels)
    for name in ("accuracy", "vote_accuracy", "nll", "brier", "kl", "jensen_shannon"):
        assert got[name]["low"] <= got[name]["value"] <= got[name]["high"]
    assert sum(b["share"] for b in got["reliability"]) == pytest.approx(1, abs=1e-5)


def test_leaving_faces_out_is_counted(predicted, tables):
    p = np.exp(predicted["test"].log_probs.astype(np.float64)).mean(0)
    q = predicted["test"].votes[:, :8] / 10
    right = p.argmax(1) == q.argmax(1)
    agree = q[np.arange(len(q)), p.argmax(1)]
    order = np.argsort(own_scores(predicted["test"].log_probs)["aleatoric"])
    kept = order[: int(0.8 * len(order))]
    got = tables["selective"]["scores"]["aleatoric"]
    assert got["label"]["accuracy"]["0.8"]["value"] == pytest.approx(right[kept].mean(), abs=1e-5)
    assert got["votes"]["accuracy"]["0.8"]["value"] == pytest.approx(agree[kept].mean(), abs=1e-5)
    risk = np.cumsum(~right[order]) / (1 + np.arange(len(order)))
    assert got["label"]["aurc"]["value"] == pytest.approx(risk.mean(), abs=1e-5)
    ideal = (np.cumsum(np.sort(~right)) / (1 + np.arange(len(order)))).mean()
    assert got["label"]["excess_aurc"]["value"] == pytest.approx(risk.mean() - ideal, abs=1e-5)
    curves = tables["selective"]["curves"]
    assert curves["aleatoric"]["label"][-1] == pytest.approx(right.mean(), abs=1e-5)


def test_every_sub_ensemble_is_itself(predicted, tables):
    masks = ensemble_size.sub_ensembles(MEMBERS)
    assert masks.sum(1).tolist() == [1, 1, 1, 2, 2, 2, 3]
    values = []
    delta = 1 - predicted["test"].votes[:, :8].max(1) / 10
    for left_out in range(MEMBERS):
        rest = np.delete(predicted["test"].log_probs, left_out, axis=0)
        values.append(
            scipy.stats.spearmanr(own_scores(rest)["aleatoric"], delta.round(9)).statistic
        )
    size = tables["sensitivity"]["sizes"][2]
    assert size["subsets"] == MEMBERS
    assert (
        size["spearman"]["mean"],
        size["spearman"]["min"],
        size["spearman"]["max"],
    ) == pytest.approx((np.mean(values), min(values), max(values)), abs=1e-5)
    error = np.sqrt((MEMBERS - 1) * np.var(values))
    assert tables["sensitivity"]["jackknife"]["spearman"]["standard_error"] == pytest.approx(
        error, rel=1e-3
    )
    whole = tables["sensitivity"]["sizes"][3]
    assert whole["shift_auroc"]["mean"] == pytest.approx(
        tables["v2"]["curve"]["epistemic"][5]["value"], abs=2e-4
    )
    assert whole["accuracy"]["mean"] == pytest.approx(tables["classification"]["accuracy"]["value"])
    assert tables["sensitivity"]["sizes"][1]["mean_epistemic"]["max"] == 0
    assert whole["mean_epistemic_corrected"]["mean"] == pytest.approx(
        1.5 * whole["mean_epistemic"]["mean"]
    )


def test_many_members_are_sampled_and_every_leave_one_out_is_there():
    masks = ensemble_size.sub_ensembles(14, per_size=10)
    size = masks.sum(1)
    assert size.tolist() == sorted(size)
    assert (np.bincount(size)[2:13] <= 14).all()
    assert (np.bincount(size)[[1, 13, 14]] == [14, 14, 1]).all()
    assert len(np.unique(masks, axis=0)) == len(masks)


def test_contributions_add_up(predicted, tables):
    clean = own_scores(predicted["test"].log_probs)
    for part in ("aleatoric", "epistemic"):
        total = sum(row[part] for row in tables["contributions"].values())
        assert total == pytest.approx(clean[part].mean(), abs=1e-5)
        shifted = sum(row[f"{part}_shifted"] for row in tables["contributions"].values())
        assert shifted == pytest.approx(
            own_scores(predicted["gnoise_5"].log_probs)[part].mean(), abs=1e-5
        )


def test_other_forms_answer_the_same_questions(tables):
    forms = tables["forms"]
    assert set(forms) == {
        "expected_pairwise_kl",
        "variance_epistemic",
        "variance_aleatoric",
        "jackknife_epistemic",
    }
    assert forms["expected_pairwise_kl"]["shift_auroc"]["value"] == pytest.approx(
        tables["cross"]["epistemic"]["shift"]["value"], abs=0.05
    )
    assert forms["variance_aleatoric"]["spearman"]["value"] == pytest.approx(
        tables["cross"]["aleatoric"]["disagreement"]["value"], abs=0.1
    )


def test_labelled_strangers_are_a_cross_dataset_test(predicted):
    other = dataclasses.replace(
        predicted["valid"], condition="elsewhere", ids=predicted["valid"].ids + 10_000
    )
    got = shift.labelled_sets(
        {"elsewhere": other, "not_a_face": predicted["not_a_face"]}, jax.random.key(0), RESAMPLES
    )
    assert set(got) == {"elsewhere"}
    p = np.exp(other.log_probs.astype(np.float64)).mean(0)
    assert got["elsewhere"]["accuracy"]["value"] == pytest.approx(
        (p.argmax(1) == other.votes[:, :8].argmax(1)).mean()
    )


def test_distance_tells_what_moved_from_more_of_the_same(predicted, tables):
    sets = tables["distance"]["sets"]
    assert set(sets) == {"gnoise_5", "not_a_face"}
    assert sets["gnoise_5"]["faces"] == [
        75,
        75,
    ]  # copies of other faces than those they are compared with
    assert sets["not_a_face"]["faces"] == [75, 20]
    same = dataclasses.replace(predicted["valid"], condition="more")
    got = shift.distance_table(
        predicted["test"], {"more": same}, jax.random.key(0), permutations=99
    )
    assert got["sets"]["more"]["p_value"] > 0.05
    assert got["space"] == "member-mean probabilities"
    features = np.random.default_rng(0).normal(size=(2, len(same.ids), 2))
    clean, moved = (
        dataclasses.replace(p, features={"trunk": of})
        for p, of in ((predicted["test"], features[0]), (same, features[1] + 2))
    )
    got = shift.distance_table(clean, {"more": moved}, jax.random.key(0), permutations=99)
    assert got["space"] == "trunk"
    assert got["sets"]["more"]["p_value"] == pytest.approx(0.01)


def test_further_scores_are_judged_like_the_others(predicted):
    """A score that the files carry stands beside the others; one that some lack is left out."""
    rng = np.random.default_rng(0)
    given = {
        name: dataclasses.replace(
            predicted[name],
            scores={"density": rng.normal(size=len(predicted[name].ids)) + (name != "test")},
        )
        for name in ("test", "gnoise_5")
    }
    weights = intervals.draw(given["test"], jax.random.key(0), RESAMPLES)
    got = shift.shift_table(
        given["test"], {"gnoise_5": given["gnoise_5"]}, weights, jax.random.key(1)
    )
    assert got["curve"]["density"][5]["value"] == pytest.approx(
        scipy.stats.norm.cdf(1 / np.sqrt(2)), abs=0.08
    )
    got = shift.shift_table(
        given["test"],
        {"gnoise_1": predicted["gnoise_1"], "gnoise_5": given["gnoise_5"]},
        weights,
        jax.random.key(1),
    )
    assert set(got["curve"]) == set(
        scores.LABELS
    )  # a score that one condition lacks cannot be averaged over them


def test_the_order_of_faces_changes_no_value(predicted, tables):
    order = np.random.default_rng(1).permutation(len(predicted["test"].ids))

    def shuffle(p):
        if len(p.ids) != len(order):
            return p
        return dataclasses.replace(
            p,
            log_probs=p.log_probs[:, order],
            ids=p.ids[order],
            votes=p.votes[order],
            truth=p.truth[order],
        )

    again = validation.validate(
        {name: shuffle(p) for name, p in predicted.items()}, resamples=RESAMPLES
    )
    for name in scores.LABELS:
        for question in ("disagreement", "shift"):
            assert again["cross"][name][question]["value"] == pytest.approx(
                tables["cross"][name][question]["value"], abs=1e-5
            )


def test_without_corruptions_there_is_no_shift_to_show(predicted):
    tables = validation.validate(
        {name: predicted[name] for name in ("test", "valid")}, resamples=RESAMPLES
    )
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
    unread = predicted["test"].votes.copy()
    unread[3] = 0
    with pytest.raises(ValueError, match=r"test face 3 \(id 153\) has no emotion vote"):
        validation.validate({"test": dataclasses.replace(predicted["test"], votes=unread)})
    fewer = dataclasses.replace(
        predicted["gnoise_5"], log_probs=predicted["gnoise_5"].log_probs[:2]
    )
    with pytest.raises(
        ValueError, match="gnoise_5 has 2 members and 8 classes, the test faces have 3 and 8"
    ):
        validation.validate({"test": predicted["test"], "gnoise_5": fewer})
    with pytest.raises(ValueError, match="2 class names"):
        validation.validate(predicted, classes=("yes", "no"))
