"""Panels of finite size: unbiased where plug-in figures are not, against a world that is known."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ferjax import panels
from ferjax.uncertainty import decompose

ITEMS = 1500
CLASSES = 6


@pytest.fixture(scope="module")
def world():
    """p(class | item) of a world where people disagree."""
    return np.random.default_rng(0).dirichlet(np.full(CLASSES, 0.5), ITEMS)


def draw(seed, probs, answers):
    return np.random.default_rng(seed).multinomial(answers, probs)


def right(probs):
    return probs


def biased(probs):
    return 0.7 * probs + 0.3 * np.eye(CLASSES)[0]


def over_confident(probs):
    sharp = probs**3
    return sharp / sharp.sum(-1, keepdims=True)


def constant(probs):
    return np.broadcast_to(probs.mean(0), probs.shape)


JUDGES = (right, biased, over_confident, constant)
gap = jax.jit(panels.gap)
of_counts = jax.jit(panels.of_counts)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("people", [3, 5, 10, 50])
def test_the_gap_is_unbiased_at_every_size(world, judge, people):
    """Within 3.5 of its own standard errors of what is true of the distributions."""
    wanted = ((judge(world) - world) ** 2).sum(-1).mean()
    panel = of_counts(draw(1, world, people), np.full(ITEMS, people))
    for samples in (2, 10, 40):
        answers = of_counts(draw(2, judge(world), samples), np.full(ITEMS, samples))
        found = np.asarray(gap(panel, answers))
        error = found.std() / np.sqrt(ITEMS)
        assert abs(found.mean() - wanted) < 3.5 * error
    exact = np.asarray(gap(panel, panels.of_probs(judge(world))))
    assert abs(exact.mean() - wanted) < 3.5 * exact.std() / np.sqrt(ITEMS)


def test_plug_in_divergences_are_no_measure(world):
    """The right judge has a Jensen-Shannon divergence that depends on the panel alone."""

    def plug_in(people):
        a = draw(1, world, people) / people
        b = draw(2, world, 10) / 10
        return (scipy.spatial.distance.jensenshannon(a, b, axis=1, base=2) ** 2).mean()

    assert plug_in(3) > 2.5 * plug_in(50) > 0.05


def test_people_equivalents_are_people(world):
    """The shares of k people who are not in the panel are worth k people."""
    panel = of_counts(draw(1, world, 5), np.full(ITEMS, 5))
    for k in (1, 2, 4):
        many = [draw(10 + s, world, k) / k for s in range(20)]
        gaps = np.mean([np.asarray(gap(panel, panels.of_probs(p))) for p in many], 0)
        found = panels.people_equivalents(gaps, panels.spread(panel), jnp.ones(ITEMS))
        assert float(found) == pytest.approx(k, rel=0.1)


def test_a_known_gap_and_its_plug_in():
    """The squared gap of a wrong judge: three raters, ten samples; plug-in more than doubles it."""
    items = 20000
    world, judge = np.random.default_rng(3).dirichlet(np.full(28, 0.2081), (2, items))
    true = ((judge - world) ** 2).sum(-1).mean()
    h = draw(4, world, 3)
    s = draw(5, judge, 10)
    unbiased = gap(of_counts(h, np.full(items, 3)), of_counts(s, np.full(items, 10)))
    plug_in = ((h / 3 - s / 10) ** 2).sum(-1).mean()
    assert true == pytest.approx(0.2825, abs=0.003)
    assert float(jnp.mean(unbiased)) == pytest.approx(true, abs=0.004)
    assert plug_in == pytest.approx(0.643, abs=0.008)


def test_identical_judges_do_not_disagree():
    """Four identical judges with ten samples each, over 28 classes: the plug-in entropy form shows
    .43 nats of disagreement that is none, the corrected variance form 0."""
    rng = np.random.default_rng(6)
    world = rng.dirichlet(np.full(28, 0.265), 2000)
    counts = np.stack([rng.multinomial(10, world) for _ in range(4)])
    shares = jnp.log(jnp.asarray(counts / 10, jnp.float32))
    plug_in = float(jnp.mean(jax.jit(decompose)(shares).epistemic))
    split = jax.jit(panels.jury_split)(of_counts(counts, np.full((4, 2000), 10)))
    between = np.asarray(split.between)
    assert plug_in == pytest.approx(0.43, abs=0.02)
    assert abs(between.mean()) < 3.5 * between.std() / np.sqrt(2000) < 0.01
    # The plug-in variance is not 0, and is what its null says it is.
    assert float(jnp.mean(split.plug_in)) == pytest.approx(float(jnp.mean(split.null)), rel=0.03)
    assert float(jnp.mean(split.plug_in)) > 0.05


def test_a_jury_that_differs_is_seen_at_its_size():
    rng = np.random.default_rng(7)
    worlds = rng.dirichlet(np.full(8, 0.5), (4, 1500))
    counts = np.stack([rng.multinomial(10, world) for world in worlds])
    split = jax.jit(panels.jury_split)(of_counts(counts, np.full((4, 1500), 10)))
    assert float(jnp.mean(split.between)) == pytest.approx(worlds.var(0).sum(-1).mean(), rel=0.03)
    within = (1 - (worlds**2).sum(-1)).mean()
    assert float(jnp.mean(split.within)) == pytest.approx(within, rel=0.02)
    np.testing.assert_allclose(split.total, split.within + split.between, atol=1e-6)
    with pytest.raises(ValueError, match="at least two judges"):
        panels.jury_split(of_counts(counts[:1], np.full((1, 1500), 10)))


def test_jensen_shannon_prefers_an_over_confident_judge():
    """Plug-in divergence rewards sharpness against few raters; the proper score of the same two
    judges says that the sharp one is worse than a constant."""
    rng = np.random.default_rng(8)
    world, other = rng.dirichlet(np.full(28, 0.1), (2, 3000))
    h = rng.multinomial(3, world)
    guess = 0.7 * world + 0.3 * other
    sharp = (guess + 1e-4) ** 5
    sharp /= sharp.sum(-1, keepdims=True)
    flat = np.full(world.shape, 1 / 28)

    def divergence(p):
        return (scipy.spatial.distance.jensenshannon(h / 3, p, axis=1, base=2) ** 2).mean()

    def cross_entropy(p):
        return -(h / 3 * np.log(p)).sum(-1).mean()

    assert divergence(sharp) < divergence(guess) - 0.03
    assert cross_entropy(guess) < cross_entropy(flat) - 1 < cross_entropy(sharp) - 1
    panel = of_counts(h, np.full(3000, 3))
    gaps = {
        name: float(jnp.mean(gap(panel, panels.of_probs(p))))
        for name, p in (("guess", guess), ("sharp", sharp), ("flat", flat))
    }
    assert gaps["guess"] < gaps["sharp"] < gaps["flat"]


def test_moments_of_answers_are_those_of_their_counts(world):
    """Single answers, counts, values and known distributions say the same thing."""
    counts = draw(1, world, 4)[:50]
    rows = np.full((50, 6, CLASSES), np.nan)
    for item, line in enumerate(counts):
        rows[item, :4] = np.eye(CLASSES)[np.repeat(np.arange(CLASSES), line)]
    assert_same_moments(panels.of_answers(rows), panels.of_counts(counts, np.full(50, 4)))
    levels = np.where(np.isnan(rows[..., :1]), np.nan, np.argmax(rows, -1)[..., None])
    steps = np.arange(CLASSES - 1) + 0.5
    assert_same_moments(
        panels.of_values(levels, steps, np.ones(CLASSES - 1)), panels.of_level_counts(counts)
    )


def assert_same_moments(a, b):
    for one, two in zip(a, b):
        np.testing.assert_allclose(one, two, rtol=2e-5, atol=1e-6)


def test_weights_repeat_answers_without_pairing_them_with_themselves():
    rng = np.random.default_rng(9)
    rows = rng.integers(0, 2, (30, 5, 3)).astype(float)
    weights = rng.integers(0, 3, (30, 5)) + 0.5
    found = panels.of_answers(rows, weights)
    for item in range(5):
        pairs = [(j, k) for j in range(5) for k in range(5) if j != k]
        mass = [weights[item, j] * weights[item, k] for j, k in pairs]
        value = np.average([rows[item, j] @ rows[item, k] for j, k in pairs], weights=mass)
        assert float(found.pairs[item]) == pytest.approx(value, abs=1e-5)
    values = rng.integers(0, 4, (30, 5, 1)).astype(float)
    one = panels.of_values(values, np.array([0.5, 1.5, 2.5]), np.ones(3), weights)
    cumulative = (values > np.array([0.5, 1.5, 2.5])).astype(float)
    assert_same_moments(one, panels.of_answers(cumulative, weights))


def test_the_score_of_a_scale_is_the_crps():
    """Against scipy's energy distance and the definition of the CRPS of a sample."""
    rng = np.random.default_rng(10)
    people = rng.normal(3, 1, (40, 4, 1)).round(1)
    judge = rng.normal(3, 1, (40, 8, 1)).round(1)
    found = np.unique(np.concatenate([people.ravel(), judge.ravel()]))
    steps = (found[1:] + found[:-1]) / 2
    moments = functools.partial(panels.of_values, steps=steps, widths=np.diff(found))
    plug_in = jnp.sum((moments(people).mean - moments(judge).mean) ** 2, -1)
    score = panels.expected_score(moments(people), moments(judge))
    for item in range(40):
        x = people[item, :, 0]
        y = judge[item, :, 0]
        energy = scipy.stats.energy_distance(x, y) ** 2 / 2
        assert float(plug_in[item]) == pytest.approx(energy, abs=2e-4)
        unlike = np.abs(y[:, None] - y[None]).sum() / (8 * 7)
        crps = np.abs(x[:, None] - y[None]).mean() - unlike / 2
        assert float(score[item]) == pytest.approx(crps, abs=2e-4)


def test_the_brier_score_of_a_rating_is_the_gap_and_the_spread(world):
    panel = of_counts(draw(1, world, 5), np.full(ITEMS, 5))
    judge = panels.of_probs(over_confident(world))
    np.testing.assert_allclose(
        panels.expected_score(panel, judge), gap(panel, judge) + panels.spread(panel), atol=2e-5
    )
    hot = np.eye(CLASSES)
    by_hand = sum(
        (draw(1, world, 5)[:, c] / 5) * ((over_confident(world) - hot[c]) ** 2).sum(-1)
        for c in range(CLASSES)
    )
    np.testing.assert_allclose(panels.expected_score(panel, judge), by_hand, atol=2e-5)


def test_pooling_is_a_mixture_not_more_samples():
    """Of two judges that are sure of different things the mixture is unsure, exactly."""
    rng = np.random.default_rng(11)
    worlds = rng.dirichlet(np.full(4, 0.4), (3, 4000))
    counts = np.stack([rng.multinomial(5, w) for w in worlds])
    pooled = panels.pool(of_counts(counts, np.full((3, 4000), 5)))
    truth = (worlds.mean(0) ** 2).sum(-1).mean()
    assert float(jnp.mean(pooled.pairs)) == pytest.approx(truth, rel=0.02)
    naive = ((counts.mean(0) / 5) ** 2).sum(-1).mean()
    assert naive > 1.03 * truth


def test_leave_one_out_leaves_copies_out_together(world):
    panel = of_counts(draw(1, world[:6], 4), np.full(6, 4))
    groups = np.array([0, 0, 1, 2, 3, 4])
    found = panels.leave_one_out(panel, groups)
    shares = np.asarray(panel.mean)
    np.testing.assert_allclose(found.mean[0], shares[2:].mean(0), atol=1e-6)
    np.testing.assert_allclose(found.mean[2], shares[[0, 1, 3, 4, 5]].mean(0), atol=1e-6)


def test_skill_is_one_for_the_truth_and_zero_for_the_mean(world):
    panel = of_counts(draw(1, world, 5), np.full(ITEMS, 5))
    reference = gap(panel, panels.leave_one_out(panel))
    ones = jnp.ones(ITEMS)
    truth = panels.skill(gap(panel, panels.of_probs(world)), reference, ones)
    flat = panels.skill(gap(panel, panels.of_probs(constant(world))), reference, ones)
    assert float(truth) == pytest.approx(1, abs=0.06)
    assert float(flat) == pytest.approx(0, abs=0.01)


def test_reliability_is_the_analysis_of_variance():
    rng = np.random.default_rng(12)
    values = rng.normal(size=(400, 1)) + rng.normal(size=(400, 5))
    between = 5 * values.mean(1).var(ddof=1)
    within = values.var(1, ddof=1).mean()
    found = panels.reliability(panels.of_answers(values[..., None]))
    assert float(found) == pytest.approx(1 - within / between, abs=1e-5)


def test_halves_are_halves():
    there = np.random.default_rng(13).random((200, 7)) < 0.7
    a, b = jax.jit(panels.halves)(jax.random.key(0), there)
    np.testing.assert_array_equal(a.sum(1), there.sum(1) // 2)
    np.testing.assert_array_equal(b.sum(1), there.sum(1) // 2)
    assert not bool(((a + b > 0) & ~there).any() | (a * b).any())
    assert float(panels.stepped_up(0.5, 2.5)) == pytest.approx(2.5 * 0.5 / 1.75)


@pytest.mark.parametrize("several", [False, True])
def test_the_floor_is_what_the_truth_scores(world, several):
    """Fitted to the panel alone, within 5 % of the figure of a judge that is right."""
    rng = np.random.default_rng(14)
    people = np.full(ITEMS, 4)
    judge = np.full(ITEMS, 10)
    if several:
        rates = rng.beta(0.3, 1.2, (ITEMS, CLASSES))
        h = rng.binomial(4, rates)
        s = rng.binomial(10, rates)
    else:
        h = draw(1, world, 4)
        s = draw(2, world, 10)

    def plug_in(h, s):
        return jnp.mean(jnp.sum((h / 4 - s / 10) ** 2, -1))

    key = jax.random.key(0)
    prior = panels.fit_prior(panels.of_counts(h, people), h, several=several)
    worlds = panels.draw_worlds(key, prior, h, people, draws=8)
    found = panels.floor_of(
        key, plug_in, worlds, people, judge, several=several, max_people=4, max_judge=10
    )
    assert float(found) == pytest.approx(float(plug_in(h, s)), rel=0.05)


@pytest.mark.rehearsal
def test_reliabilities_of_emobank(shared_data):
    """What is known of its readers: V .727, A .626, D .595, so ceilings of .852, .791, .771."""
    from ferjax.texts.readers import read_panel

    table, _ = read_panel(shared_data / "emobank" / "individual_reader_ratings.csv").ratings.by_item
    known = (0.727, 0.626, 0.595)
    for column in range(3):
        answers = panels.of_answers(table[:, :, column : column + 1])
        assert float(panels.reliability(answers)) == pytest.approx(known[column], abs=0.01)

    def half(key):
        first, second = panels.halves(key, ~np.isnan(table[..., 0]))
        a = panels.of_answers(table, first).mean
        b = panels.of_answers(table, second).mean
        return jax.vmap(lambda x, y: jnp.corrcoef(x, y)[0, 1], (1, 1))(a, b)

    split = jnp.mean(jax.lax.map(half, jax.random.split(jax.random.key(0), 10)), 0)
    np.testing.assert_allclose(panels.stepped_up(split, 2.5), known, atol=0.01)
