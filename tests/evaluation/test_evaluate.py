"""The dual validation against scipy and scikit-learn, from predictions that no network made."""

import dataclasses

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics

from ferjax.evaluation import disagreement, ensemble_size, resampling, scores, shift
from ferjax.evaluation.conditions import Conditions
from ferjax.evaluation.intervals import Interval, by_label, interval

RESAMPLES = 50
MEMBERS = 3
SHORT = ("aleatoric", "epistemic")
OWN = (
    *("epistemic", "aleatoric", "total", "max_prob", "single_max_prob", "single_entropy"),
    *("between", "within", "mean_entropy", "vacuity", "expected_disagreement"),
)


def own_scores(log_probs, log_concentration):
    """Every score of predictions from its definition, in float64 numpy; the expected disagreement
    has a test of its own."""
    p = np.exp(np.asarray(log_probs, np.float64))
    s = np.exp(np.asarray(log_concentration, np.float64))
    psi = scipy.special.digamma
    total = scipy.special.entr(p.mean(0)).sum(-1)
    entropy = scipy.special.entr(p).sum(-1)
    aleatoric = (psi(s + 1) - (p * psi(p * s[..., None] + 1)).sum(-1)).mean(0)
    return {
        "epistemic": total - aleatoric,
        "aleatoric": aleatoric,
        "total": total,
        "max_prob": 1 - p.mean(0).max(-1),
        "single_max_prob": 1 - p[0].max(-1),
        "single_entropy": entropy[0],
        "between": total - entropy.mean(0),
        "within": entropy.mean(0) - aleatoric,
        "mean_entropy": entropy.mean(0),
        "vacuity": -np.log(s).mean(0),
    }


@pytest.fixture(scope="module")
def own(conditions):
    """Condition -> every score from its definition."""
    every = (conditions.test, *conditions.shifted)
    return {
        c.name: own_scores(c.predictions.log_probs, c.predictions.log_concentration) for c in every
    }


def test_scores_are_their_definitions(predicted, conditions, own):
    p = conditions.test.predictions
    np.testing.assert_array_equal(p.log_probs, predicted["test"].log_probs)
    alone = scores.from_log_probs(p.log_probs, p.log_concentration)
    assert set(alone) == set(OWN) == {*own["test"], "expected_disagreement"}
    for name, expected in own["test"].items():
        np.testing.assert_allclose(alone[name], expected, atol=3e-6, err_msg=name)
        np.testing.assert_allclose(conditions.test.scores[name], alone[name], atol=1e-6)
    assert all(scores.label(name) != name for name in conditions.test.scores if name not in SHORT)


def test_without_concentrations_scores_are_entropies_of_the_members(predicted):
    plain = scores.from_log_probs(predicted["test"].log_probs)
    certain = np.full((MEMBERS, 150), np.inf, np.float32)
    sure = scores.from_log_probs(predicted["test"].log_probs, certain)
    assert set(plain) == {*OWN[:6]}
    for name, of in plain.items():
        np.testing.assert_allclose(of, sure[name], atol=1e-6, err_msg=name)
    np.testing.assert_allclose(plain["epistemic"], sure["between"], atol=1e-7)


def test_intervals_are_numpys_quantiles_without_the_undefined(rng):
    samples = rng.normal(size=(41, 3)).astype(np.float32)
    samples[1:10, 0] = np.nan
    samples[1:, 1] = np.nan
    got = by_label(samples, "abc")
    assert got["a"].low == pytest.approx(np.quantile(samples[10:, 0], 0.025), abs=1e-6)
    assert got["b"].defined and np.isnan(got["b"].low) and np.isnan(got["b"].high)
    assert got["c"] == interval(samples[:, 2])
    assert got["c"].high == pytest.approx(np.quantile(samples[1:, 2], 0.975), abs=1e-6)
    assert Interval.exact(1.0).low == Interval.exact(1.0).high == 1.0
    assert not Interval.undefined().defined


def test_disagreement_is_scipys_correlation(predicted, conditions, evaluation):
    votes = predicted["test"].votes
    delta = np.round(1 - votes.max(1) / 10, 9)
    entropy = scipy.stats.entropy(np.sort(votes), axis=1).round(9)
    low, high = np.quantile(entropy, [1 / 3, 2 / 3])
    some = (entropy <= low) | (entropy >= high)
    d = evaluation.disagreement
    assert d.ambiguous == (entropy >= high).sum()
    assert d.clear == (entropy <= low).sum()
    truth = scipy.stats.entropy(predicted["test"].truth, axis=1)
    for name, score in conditions.test.scores.items():
        row = d.scores[name]
        rho = row.spearman
        assert rho.value == pytest.approx(scipy.stats.spearmanr(score, delta).statistic, abs=1e-5)
        assert rho.low < rho.value < rho.high
        assert row.share_of_ceiling.value == pytest.approx(rho.value / d.ceiling.value)
        expected = scipy.stats.spearmanr(score, truth).statistic
        assert row.spearman_true_entropy.value == pytest.approx(expected, abs=1e-5)
        tau = row.kendall
        assert tau.value == pytest.approx(scipy.stats.kendalltau(score, delta).statistic, abs=1e-5)
        assert tau.low < tau.value < tau.high
        auroc = sklearn.metrics.roc_auc_score((entropy >= high)[some], score[some])
        assert row.auroc_ambiguous.value == pytest.approx(auroc, abs=1e-5)
    assert 0.5 < d.ceiling.low < d.ceiling.high < 1
    aleatoric, epistemic = (conditions.test.scores[n] for n in ("aleatoric", "epistemic"))
    expected = scipy.stats.spearmanr(aleatoric, epistemic).statistic
    assert d.rank_correlation.value == pytest.approx(expected, abs=1e-5)


def test_differences_are_paired(evaluation):
    rows = evaluation.disagreement.scores
    assert not rows["aleatoric"].aleatoric_minus.defined
    for name, row in rows.items():
        if name != "aleatoric":
            gap = rows["aleatoric"].spearman.value - row.spearman.value
            assert row.aleatoric_minus.value == pytest.approx(gap, abs=1e-6)
    # Total and aleatoric rank nearly alike, so their difference is known far better than either.
    gap = rows["total"].aleatoric_minus
    alone = rows["total"].spearman
    assert gap.high - gap.low < 0.5 * (alone.high - alone.low)
    minus = evaluation.shift.epistemic_minus
    assert "epistemic" not in minus
    curve = evaluation.shift.curve
    for name, of in minus.items():
        gap = curve["epistemic"][5].value - curve[name][5].value
        assert of[5].value == pytest.approx(gap, abs=1e-6)


def test_all_tables_rest_on_the_same_resamples(conditions, evaluation):
    """V1, V2, quality and the comparison of routers: each from the conditions' own weights."""
    weights = np.asarray(conditions.weights)
    test = conditions.test
    accuracy = (weights * test.correct).sum(1) / weights.sum(1)
    low, high = np.quantile(accuracy, [0.025, 0.975])
    assert evaluation.quality.accuracy.low == pytest.approx(low, abs=1e-5)
    assert evaluation.quality.accuracy.high == pytest.approx(high, abs=1e-5)

    def repeated(values, w):
        return np.repeat(values, w)

    score = test.scores["aleatoric"]
    delta = test.voted.disagreement.round(9)
    rho = [scipy.stats.spearmanr(repeated(score, w), repeated(delta, w)).statistic for w in weights]
    low, high = np.quantile(rho, [0.025, 0.975])
    assert evaluation.disagreement.scores["aleatoric"].spearman.low == pytest.approx(low, abs=1e-4)
    inside = test.scores["epistemic"]
    outside = conditions.worst[0].scores["epistemic"]
    areas = [
        sklearn.metrics.roc_auc_score(
            np.repeat([0, 1], len(inside)),
            np.concatenate([inside, outside]),
            sample_weight=np.tile(w, 2),
        )
        for w in weights
    ]
    low, high = np.quantile(areas, [0.025, 0.975])
    cell = evaluation.shift.corruptions["gnoise"][5]["epistemic"].auroc
    assert (cell.low, cell.high) == pytest.approx((low, high), abs=1e-4)


def test_groups_are_resampled_together(predicted, evaluation):
    """Every item twice, as pairs: the same values, and the intervals of the items, not of twice as
    many."""
    test = predicted["test"]
    rows = np.repeat(np.arange(len(test.ids)), 2)
    doubled = dataclasses.replace(
        test,
        log_probs=test.log_probs[:, rows],
        ids=np.arange(len(rows)),
        votes=test.votes[rows],
        truth=test.truth[rows],
        groups=rows,
    )
    found = Conditions.of({"test": doubled}, resamples=RESAMPLES)
    weights = np.asarray(found.weights)
    np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
    score = found.test.scores["total"]
    samples = resampling.spearman(score, found.test.voted.disagreement, found.weights)
    rho = interval(samples)
    row = evaluation.disagreement.scores["total"].spearman
    assert rho.value == pytest.approx(row.value, abs=1e-6)
    assert rho.high - rho.low == pytest.approx(row.high - row.low, rel=0.4)


def test_posterior_describes_every_item(predicted, conditions, evaluation):
    votes = predicted["test"].votes
    got = evaluation.disagreement.posterior
    assert 0 < got.mean_width < 1
    assert 0.5 < got.ceiling < 1
    kinds = {tuple(sorted(row, reverse=True)) for row in votes.tolist()}
    examples = {example.votes: example for example in got.examples}
    assert len(examples) == min(6, len(kinds))
    assert all(e.low <= e.mean <= e.high for e in got.examples)
    assert sum(e.items for e in got.examples) <= len(votes)
    unanimous = examples.get("10")
    if unanimous is not None:
        assert unanimous.items == (votes.max(1) == 10).sum()
        assert unanimous.counted == 0 < unanimous.mean
    again = disagreement.votes_posterior(votes, conditions.key("posterior"))
    assert again == got


def test_deciles_cover_every_item(conditions, evaluation):
    deciles = evaluation.disagreement.deciles
    assert len(deciles) == 10
    assert sum(row.items for row in deciles) == 150
    means = [row.aleatoric for row in deciles]
    assert means == sorted(means)
    weighted = sum(row.items * row.disagreement for row in deciles) / 150
    assert weighted == pytest.approx(conditions.test.voted.disagreement.mean())


def test_shift_is_scikit_learns_auroc(own, evaluation):
    clean = own["test"]
    for condition, severity in (("gnoise_1", 1), ("gnoise_5", 5)):
        shifted = own[condition]
        for name in clean:
            both = np.concatenate([clean[name], shifted[name]])
            labels = np.repeat([0, 1], len(clean[name]))
            row = evaluation.shift.corruptions["gnoise"][severity][name]
            expected = sklearn.metrics.roc_auc_score(labels, both)
            assert row.auroc.value == pytest.approx(expected, abs=1e-4)
            assert row.auroc.low <= row.auroc.value <= row.auroc.high
            curve = evaluation.shift.curve[name][severity]
            assert curve.value == pytest.approx(row.auroc.value, abs=1e-6)
            expected = sklearn.metrics.average_precision_score(labels, both)
            assert row.aupr.value == pytest.approx(expected, abs=1e-3)
    found = evaluation.shift.ood["not_a_face"]
    assert found.items == 20
    other = own["not_a_face"]
    for name in clean:
        labels = np.repeat([0, 1], [len(clean[name]), 20])
        both = np.concatenate([clean[name], other[name]])
        got = found.scores[name]
        expected = sklearn.metrics.roc_auc_score(labels, both)
        assert got.auroc.value == pytest.approx(expected, abs=1e-4)
        expected = sklearn.metrics.average_precision_score(labels, both)
        assert got.aupr.value == pytest.approx(expected, abs=1e-3)
        assert got.auroc.low <= got.auroc.value <= got.auroc.high
        false, true, _ = sklearn.metrics.roc_curve(labels, both, drop_intermediate=False)
        assert got.fpr_at_95.value == pytest.approx(false[true >= 0.95].min(), abs=1e-4)
    assert evaluation.shift.severity == 5


def test_a_curve_is_the_unweighted_mean_over_corruptions(predicted, evaluation):
    other = dataclasses.replace(
        predicted["gnoise_1"], condition="blur_5", corruption="blur", severity=5
    )
    given = {name: predicted[name] for name in ("valid", "test", "gnoise_1", "gnoise_5")}
    more = shift.shift(Conditions.of({**given, "blur_5": other}, resamples=RESAMPLES)).curve
    first = evaluation.shift.curve["epistemic"]
    then = more["epistemic"]
    assert then[5].value == pytest.approx((first[5].value + first[1].value) / 2, abs=1e-6)
    assert then[1].value == pytest.approx(first[1].value, abs=1e-7)


def test_quality_is_counted(predicted, evaluation):
    p = np.exp(predicted["test"].log_probs.astype(np.float64))
    q = predicted["test"].votes / 10
    got = evaluation.quality
    labels = q.argmax(1)
    assert got.accuracy.value == pytest.approx((p.mean(0).argmax(1) == labels).mean())
    assert got.member_accuracy == pytest.approx((p.argmax(-1) == labels).mean(-1))
    assert got.nll.value == pytest.approx(-(q * np.log(p.mean(0))).sum(1).mean(), abs=1e-5)
    assert got.brier.value == pytest.approx(((p.mean(0) - q) ** 2).sum(1).mean(), abs=1e-5)
    assert got.majority_class == np.bincount(labels).max() / len(labels)
    assert got.items == len(labels)
    for name in ("accuracy", "vote_accuracy", "nll", "brier", "kl", "jensen_shannon"):
        figure = getattr(got, name)
        assert figure.low <= figure.value <= figure.high
    predicted_class = p.mean(0).argmax(1)
    balanced = sklearn.metrics.balanced_accuracy_score(labels, predicted_class)
    assert got.balanced_accuracy.value == pytest.approx(balanced, abs=1e-6)
    assert got.balanced_accuracy.low < balanced < got.balanced_accuracy.high
    recall = sklearn.metrics.recall_score(labels, predicted_class, average=None)
    assert [of.recall.value for of in got.recall.values()] == pytest.approx(recall, abs=1e-6)
    assert [of.items for of in got.recall.values()] == np.bincount(labels).tolist()
    assert sum(b.share for b in got.reliability) == pytest.approx(1, abs=1e-5)


def test_leaving_items_out_is_counted(predicted, own, evaluation):
    p = np.exp(predicted["test"].log_probs.astype(np.float64)).mean(0)
    q = predicted["test"].votes / 10
    right = p.argmax(1) == q.argmax(1)
    agree = q[np.arange(len(q)), p.argmax(1)]
    order = np.argsort(own["test"]["aleatoric"])
    kept = order[: int(0.8 * len(order))]
    got = evaluation.selective.scores["aleatoric"]
    assert got["label"].accuracy["0.8"].value == pytest.approx(right[kept].mean(), abs=1e-5)
    assert got["votes"].accuracy["0.8"].value == pytest.approx(agree[kept].mean(), abs=1e-5)
    risk = np.cumsum(~right[order]) / (1 + np.arange(len(order)))
    assert got["label"].aurc.value == pytest.approx(risk.mean(), abs=1e-5)
    ideal = (np.cumsum(np.sort(~right)) / (1 + np.arange(len(order)))).mean()
    assert got["label"].excess_aurc.value == pytest.approx(risk.mean() - ideal, abs=1e-5)
    curve = evaluation.selective.curves["aleatoric"]["label"]
    assert curve[-1] == pytest.approx(right.mean(), abs=1e-5)
    assert len(curve) == len(evaluation.selective.coverage)


def test_every_sub_ensemble_is_itself(predicted, conditions, own, evaluation):
    masks = ensemble_size.sub_ensembles(MEMBERS)
    assert masks.sum(1).tolist() == [1, 1, 1, 2, 2, 2, 3]
    values = []
    delta = (1 - predicted["test"].votes.max(1) / 10).round(9)
    for left_out in range(MEMBERS):
        p = conditions.test.predictions
        rest = [np.delete(of, left_out, axis=0) for of in (p.log_probs, p.log_concentration)]
        values.append(scipy.stats.spearmanr(own_scores(*rest)["aleatoric"], delta).statistic)
    found = evaluation.ensemble_size
    size = found.sizes[2]
    assert size.subsets == MEMBERS
    spread = size.figures["spearman"]
    expected = (np.mean(values), min(values), max(values))
    assert (spread.mean, spread.low, spread.high) == pytest.approx(expected, abs=1e-5)
    error = np.sqrt((MEMBERS - 1) * np.var(values))
    assert found.jackknife["spearman"].standard_error == pytest.approx(error, rel=1e-3)
    whole = found.sizes[3].figures
    area = evaluation.shift.at_worst("epistemic").value
    assert whole["shift_auroc"].mean == pytest.approx(area, abs=2e-4)
    assert whole["accuracy"].mean == pytest.approx(evaluation.quality.accuracy.value)
    within = own["test"]["within"].mean()
    between = own["test"]["between"].mean()
    assert found.sizes[1].figures["mean_epistemic"].mean == pytest.approx(within, abs=1e-5)
    assert whole["mean_epistemic"].mean == pytest.approx(within + between, abs=1e-5)
    corrected = within + 1.5 * between
    assert whole["mean_epistemic_corrected"].mean == pytest.approx(corrected, abs=1e-5)


def test_passes_of_a_member_are_never_parted(conditions, evaluation):
    """Every member asked twice is the same ensemble, of as many members."""
    twice = {
        c.name: dataclasses.replace(
            c.predictions,
            log_probs=np.repeat(c.predictions.log_probs, 2, axis=0),
            log_concentration=np.repeat(c.predictions.log_concentration, 2, axis=0),
            passes=2,
        )
        for c in (conditions.test, *conditions.corrupted)
    }
    found = ensemble_size.ensemble_size(Conditions.of(twice, resamples=RESAMPLES))
    assert set(found.sizes) == {1, 2, 3}
    for size, row in evaluation.ensemble_size.sizes.items():
        assert found.sizes[size].subsets == row.subsets
        for name, spread in row.figures.items():
            again = dataclasses.astuple(found.sizes[size].figures[name])
            np.testing.assert_allclose(again, dataclasses.astuple(spread), atol=1e-5)


def test_the_jackknife_over_members_is_the_cores(conditions, evaluation):
    from ferjax import uncertainty

    p = conditions.test.predictions
    estimate, error = uncertainty.jackknife(p.log_probs, p.log_concentration)
    for part, found in evaluation.ensemble_size.mean_item.items():
        assert found.value == pytest.approx(float(getattr(estimate, part).mean()), abs=1e-5)
        assert found.standard_error == pytest.approx(float(getattr(error, part).mean()), abs=1e-5)


def test_many_members_are_sampled_and_every_leave_one_out_is_there():
    masks = ensemble_size.sub_ensembles(14, per_size=10)
    size = masks.sum(1)
    assert size.tolist() == sorted(size)
    assert (np.bincount(size)[2:13] <= 14).all()
    assert (np.bincount(size)[[1, 13, 14]] == [14, 14, 1]).all()
    assert len(np.unique(masks, axis=0)) == len(masks)


def test_contributions_add_up(own, evaluation):
    rows = evaluation.ensemble_size.contributions.values()
    for part in ("aleatoric", "epistemic"):
        clean = own["test"][part].mean()
        assert sum(getattr(row, part) for row in rows) == pytest.approx(clean, abs=1e-5)
        corrupted = own["gnoise_5"][part].mean()
        total = sum(getattr(row, f"{part}_corrupted") for row in rows)
        assert total == pytest.approx(corrupted, abs=1e-5)


def test_other_forms_answer_the_same_questions(evaluation):
    forms = evaluation.ensemble_size.forms
    assert set(forms) == {"variance_epistemic", "variance_aleatoric", "jackknife_epistemic"}
    area = evaluation.shift.at_worst("epistemic").value
    assert forms["jackknife_epistemic"].shift_auroc.value == pytest.approx(area, abs=0.05)
    rho = evaluation.disagreement.scores["aleatoric"].spearman.value
    assert forms["variance_aleatoric"].spearman.value == pytest.approx(rho, abs=0.1)


def test_a_labelled_set_is_a_cross_dataset_test(predicted):
    valid = predicted["valid"]
    other = dataclasses.replace(valid, condition="elsewhere", ids=valid.ids + 10_000, split="ood")
    given = {"test": predicted["test"], "elsewhere": other, "none": predicted["not_a_face"]}
    got = shift.labelled_sets(Conditions.of(given, resamples=RESAMPLES))
    assert set(got) == {"elsewhere"}
    p = np.exp(other.log_probs.astype(np.float64)).mean(0)
    accuracy = (p.argmax(1) == other.votes.argmax(1)).mean()
    assert got["elsewhere"].accuracy.value == pytest.approx(accuracy)


def test_distance_tells_what_moved_from_more_of_the_same(predicted, evaluation):
    sets = evaluation.shift.distance.sets
    assert set(sets) == {"gnoise_5", "not_a_face"}
    assert (sets["gnoise_5"].clean_items, sets["gnoise_5"].set_items) == (75, 75)
    assert sets["not_a_face"].set_items == 20
    valid = predicted["valid"]
    same = dataclasses.replace(valid, condition="more", split="ood")
    test = predicted["test"]
    found = Conditions.of({"test": test, "more": same}, resamples=2, seed=1)
    got = shift.distance(found)
    assert got.sets["more"].p_value > 0.05
    assert got.space == "member-mean probabilities"
    features = np.random.default_rng(0).normal(size=(2, len(same.ids), 2))
    near = dataclasses.replace(test, features={"layer": features})
    far = dataclasses.replace(same, features={"layer": features + 3})
    moved = shift.distance(Conditions.of({"test": near, "more": far}, resamples=2))
    assert moved.space == "layer"
    assert moved.sets["more"].p_value < 0.01


def test_a_corrupted_copy_is_not_compared_with_its_own_original(predicted):
    """The two sides of a distance hold different items, as its test needs independent samples."""
    test = predicted["test"]
    marks = np.arange(len(test.ids), dtype=float)[:, None]
    copy = dataclasses.replace(
        test, condition="blur_5", corruption="blur", severity=5, features={"mark": marks}
    )
    seen = []

    def spy(key, x, y, **_):
        seen.append((set(np.ravel(x)), set(np.ravel(y))))
        return type("T", (), {"mmd2": 0.0, "p_value": 1.0})

    given = {"test": dataclasses.replace(test, features={"mark": marks}), "blur_5": copy}
    conditions = Conditions.of(given, resamples=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shift, "_two_sample_test", spy)
        shift.distance(conditions)
    ((clean, corrupted),) = seen
    assert clean and corrupted and not clean & corrupted


def test_what_the_papers_scripts_print(conditions, evaluation):
    test = conditions.test
    worst = conditions.worst[0]
    e = test.scores["epistemic"]
    single = test.scores["single_max_prob"]
    rows = evaluation.matched
    for name in ("epistemic", "total"):
        gap = rows[name].auc.value - rows["single_max_prob"].auc.value
        assert rows[name].minus_single.value == pytest.approx(gap, abs=1e-5)
        assert rows[name].minus_single.low <= gap <= rows[name].minus_single.high
        assert 0 < rows[name].minus_single.p_value <= 1
    assert rows["single_max_prob"].minus_single.value == 0
    assert rows["single_max_prob"].minus_single.p_value == 1
    # All clean items kept at the threshold that rejects 80 % of the copies.
    outside = np.sort(np.concatenate([c.scores["epistemic"] for c in conditions.corrupted]))
    kept = (e < outside[round(0.2 * len(outside))]).mean()
    assert rows["epistemic"].clean_retention["0.8"] == pytest.approx(kept, abs=1e-6)
    assert rows["random"].clean_retention["0.8"] == pytest.approx(0.2)
    # Epistemic less one member's 1 - max p, for one corruption at one severity.
    labels = np.repeat([0, 1], test.items)
    gap = [
        sklearn.metrics.roc_auc_score(labels, np.concatenate([a, worst.scores[n]]))
        for n, a in (("epistemic", e), ("single_max_prob", single))
    ]
    got = evaluation.shift.epistemic_minus_single["gnoise"][5]
    assert got.value == pytest.approx(gap[0] - gap[1], abs=1e-5)
    # One row per severity, the clean items first.
    assert list(evaluation.shift.severities) == [0, 1, 5]
    for severity, c in ((0, test), (5, worst)):
        row = evaluation.shift.severities[severity]
        right = c.mean_log_probs.argmax(-1) == test.voted.labels
        assert row.accuracy.value == pytest.approx(right.mean(), abs=1e-6)
        assert row.epistemic.value == pytest.approx(c.scores["epistemic"].mean(), rel=1e-5)
        assert row.aleatoric.value == pytest.approx(c.scores["aleatoric"].mean(), rel=1e-5)
        assert row.total.low < row.total.value < row.total.high
    assert evaluation.shift.severities[0].ece.value == pytest.approx(evaluation.quality.ece.value)
    # Routing against the number of members.
    kept = test.voted.ambiguous
    labels = np.repeat([0, 1], [kept.sum(), test.items])
    area = sklearn.metrics.roc_auc_score(
        labels, np.concatenate([e[kept], worst.scores["epistemic"]])
    )
    sizes = evaluation.ensemble_size.sizes
    assert sizes[3].figures["routing_auc"].mean == pytest.approx(area, abs=1e-5)
    alone = []
    for k in range(MEMBERS):
        inside, outside = (
            own_scores(p.log_probs[k : k + 1], p.log_concentration[k : k + 1])["epistemic"]
            for p in (test.predictions, worst.predictions)
        )
        both = np.concatenate([inside[kept], outside])
        alone.append(sklearn.metrics.roc_auc_score(labels, both))
    assert sizes[1].figures["routing_auc"].mean == pytest.approx(np.mean(alone), abs=1e-4)


def test_errors_are_told_from_right_predictions(conditions, evaluation):
    test = conditions.test
    found = evaluation.selective.misclassification["total"]
    scores = test.scores["total"]
    area = sklearn.metrics.roc_auc_score(~test.correct, scores)
    assert found.auroc.value == pytest.approx(area, abs=1e-5)
    precision = sklearn.metrics.average_precision_score
    assert found.aupr_errors.value == pytest.approx(precision(~test.correct, scores), abs=1e-5)
    assert found.aupr_successes.value == pytest.approx(precision(test.correct, -scores), abs=1e-5)
    quality = evaluation.quality
    assert quality.ece.value <= quality.l2_ece.value <= quality.mce.value
    assert quality.label_nll.low < quality.label_nll.value < quality.label_nll.high
