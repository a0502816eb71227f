"""The alternative annotator test against its definition, written out rater by rater."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import replacement

HAND = {
    # item: answers of raters 0..2 and of the judge; a rater who did not answer is None
    "a": ((0, 0, 1), 0),
    "b": ((1, 1, 1), 1),
    "c": ((0, 1, None), 1),
    "d": ((None, 0, 0), 1),
}


def by_definition(people, judge, margin, level=0.05, min_items=1):
    """Advantage of judge and rater, p-value and who is beaten, rater by rater; ``people [item,
    rater]`` with -1 for no answer."""
    raters = people.shape[1]
    rows = []
    for j in range(raters):
        wins, losses = [], []
        for answers, guess in zip(people, judge):
            others = [answers[k] for k in range(raters) if k != j and answers[k] >= 0]
            if answers[j] < 0 or not others:
                continue
            s_judge = np.mean([guess == other for other in others])
            s_rater = np.mean([answers[j] == other for other in others])
            wins.append(s_judge >= s_rater)
            losses.append(s_rater >= s_judge)
        d = np.array(losses, float) - np.array(wins, float)
        p = scipy.stats.ttest_1samp(d, margin, alternative="less").pvalue if len(d) > 1 else np.nan
        rows.append((np.mean(wins), np.mean(losses), p, len(wins)))
    p = np.array([row[2] for row in rows])
    tested = np.array([row[3] >= min_items for row in rows]) & ~np.isnan(p)
    beaten = np.zeros(raters, bool)
    adjusted = scipy.stats.false_discovery_control(p[tested], method="by")
    beaten[tested] = adjusted <= level
    return rows, beaten


def run(people, judge, margin, min_items):
    classes = max(people.max(), judge.max()) + 1
    hot = jax.nn.one_hot(people, classes)
    between = replacement.class_distance(hot[:, :, None], hot[:, None])
    mine = replacement.class_distance(jax.nn.one_hot(judge, classes)[None, :, None], hot[None])
    rater = np.where(people >= 0, np.arange(people.shape[1])[None], -1)
    return replacement.alternative_annotator_test(
        mine, between, rater, raters=people.shape[1], margin=margin, min_items=min_items
    )


def test_a_table_made_by_hand():
    people = np.array([[-1 if x is None else x for x in row] for row, _ in HAND.values()])
    judge = np.array([guess for _, guess in HAND.values()])
    done = run(people, judge, 0.1, 1)
    # rater 0: a (tie), b (tie), c (the judge agrees with rater 1, rater 0 does not)
    assert done.advantage[0].tolist() == pytest.approx([1.0, 3 / 4, 2 / 3])
    assert done.rater_advantage[0].tolist() == pytest.approx([2 / 3, 1.0, 2 / 3])
    assert done.items[0].tolist() == [3, 4, 3]


@pytest.mark.parametrize("quality", [0.2, 0.55, 0.9])
def test_the_published_definition(quality):
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 300)
    people = np.where(rng.random((300, 7)) < 0.6, truth[:, None], rng.integers(0, 4, (300, 7)))
    people = np.where(rng.random((300, 7)) < 0.6, people, -1)
    judge = np.where(rng.random(300) < quality, truth, rng.integers(0, 4, 300))
    done = run(people, judge, 0.15, 30)
    rows, beaten = by_definition(people, judge, 0.15, min_items=30)
    np.testing.assert_allclose(done.advantage[0], [row[0] for row in rows], atol=1e-6)
    np.testing.assert_allclose(done.rater_advantage[0], [row[1] for row in rows], atol=1e-6)
    np.testing.assert_allclose(done.p_value[0], [row[2] for row in rows], rtol=2e-3, atol=1e-6)
    np.testing.assert_array_equal(done.beaten[0], beaten)
    assert float(done.winning_rate[0]) == pytest.approx(beaten.mean())
    assert float(done.mean_advantage[0]) == pytest.approx(np.mean([row[0] for row in rows]))


def test_a_rater_with_few_items_is_not_tested():
    people = np.array([[0, 0, 1], [1, 1, -1], [0, 0, -1]] * 12)
    done = run(people, np.zeros(36, int), 0.1, 20)
    assert np.isnan(done.p_value[0, 2]) and not bool(done.beaten[0, 2])
    assert not np.isnan(done.p_value[0, :2]).any()


def test_the_false_discovery_rate_is_scipys():
    p = np.random.default_rng(2).random(40) ** 4
    adjusted = scipy.stats.false_discovery_control(p, method="by")
    np.testing.assert_array_equal(replacement.benjamini_yekutieli(p), adjusted <= 0.05)


def test_a_judge_that_did_not_judge_is_at_no_distance():
    nobody = jnp.full((2,), jnp.nan)
    for name in ("class_distance", "set_distance", "squared_distance"):
        assert np.isnan(getattr(replacement, name)(nobody, jnp.array([1.0, 0.0]))), name


def test_distances_of_sets():
    a = jnp.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    b = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    assert replacement.set_distance(a, b).tolist() == [0.5, 0.0, 1.0]
    assert replacement.class_distance(a[2], b[2]) == 1
    assert replacement.squared_distance(a, b).tolist() == [1.0, 0.0, 2.0]
