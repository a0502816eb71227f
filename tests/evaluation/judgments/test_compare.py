"""The whole comparison on a world that is known, of every kind of rating."""

import dataclasses
import json
import re

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats

from ferjax.evaluation.judgments.compare import Words, compare
from ferjax.evaluation.judgments.rows import MEAN, PERSON
from ferjax.report import judgments as report

RIGHT = "right, t 0.7"
LEXICON = Words({"joy": ["text"], "anger": ["number"], "fear": ["text number 7"]})


@pytest.fixture(scope="module")
def found(worlds):
    """Kind -> comparison; compiled once for all tests here."""
    return {
        kind: compare(
            sides,
            resamples=100,
            words=LEXICON if kind == "multi" else None,
            shifted={"uniform": shifted(judgments)} if kind == "single" else {},
            sources=("texts", "raters", "samples") if kind == "multi" else ("texts",),
        )
        for kind, (_, _, judgments, sides) in worlds.items()
    }


KINDS = ("single", "multi", "ordinal")


def shifted(judgments):
    """Other items, of which every judge makes something else, and one answer names nothing."""
    rng = np.random.default_rng(9)
    models = rng.dirichlet(np.full(4, 0.1), judgments.counts.shape[:2])
    counts = rng.multinomial(10, models).astype(np.int32)
    ids = np.array([f"other {k}" for k in range(counts.shape[1])])
    return dataclasses.replace(judgments, counts=counts, ids=ids, hashes=None)


@pytest.mark.slow
def test_judges_disagree_more_on_items_that_they_do_not_know(found):
    row = found["single"].shift["uniform"]
    assert row.items == 240 and row.unparsed == pytest.approx(1 / 11)
    assert row.between.low > 0.6
    assert row.within.high < 0.5  # each is sure of something else


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_right_judge_is_right(found, kind):
    c = found[kind]
    row = c.judges[RIGHT]
    # Within 3.3 of its standard errors, of which its interval has 3.9.
    assert abs(row.gap.value) < 0.85 * (row.gap.high - row.gap.low)
    assert abs(row.skill.value - 1) < 0.85 * (row.skill.high - row.skill.low)
    assert row.people.high > 20
    assert row.answers == 10
    assert row.unparsed == pytest.approx(1 / 11)
    assert c.rivals[MEAN].skill.value == 0
    assert c.rivals[PERSON].people.value == 1
    constant = c.judges["mean, t 1"].skill
    assert constant.low < 0.02 and constant.value == pytest.approx(0, abs=0.06)
    assert c.judges["sharp, t 1"].skill.high < row.skill.value
    # Ten answers are a noisy sight of a judge that is right.
    assert row.as_used.low > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_plug_in_figures_are_scipys_and_have_a_floor(found, worlds, kind):
    ratings, _, judgments, _ = worlds[kind]
    c = found[kind]
    q = ratings.counts / ratings.raters_of[:, None]
    p = judgments.counts[0] / 10
    fine = (q.sum(1) > 0) & (p.sum(1) > 0)
    root = scipy.spatial.distance.jensenshannon(q[fine], p[fine], axis=1, base=2)
    row = c.judges[RIGHT]
    assert row.jsd.value == pytest.approx((root**2).mean(), abs=1e-5)
    assert row.jsd_floor == pytest.approx(row.jsd.value, abs=0.02)
    h = [scipy.stats.entropy(x[fine] / x[fine].sum(1, keepdims=True), axis=1) for x in (q, p)]
    rho = scipy.stats.spearmanr(h[0].round(5), h[1].round(5)).statistic
    assert row.entropy_correlation.value == pytest.approx(rho, abs=2e-3)
    assert row.entropy_if_right == pytest.approx(rho, abs=0.12)
    kl = scipy.stats.entropy(
        q[fine] / q[fine].sum(1, keepdims=True),
        p[fine] / p[fine].sum(1, keepdims=True) + 1e-12,
        axis=1,
        base=2,
    )
    assert row.kl.value == pytest.approx(kl.mean(), rel=1e-3)
    assert 0 < c.panel.entropy_ceiling.value < 1


@pytest.mark.slow
def test_split_votes_are_a_second_view_of_several_labels(found):
    rows = found["multi"].judges
    assert rows[RIGHT].split_skill.value == pytest.approx(1, abs=0.15)
    assert rows["mean, t 1"].split_skill.value < 0.5 < rows[RIGHT].split_skill.low
    assert found["single"].judges[RIGHT].split_skill is None


@pytest.mark.slow
def test_classes_are_scipys(found, worlds):
    ratings, _, judgments, _ = worlds["multi"]
    c = found["multi"]
    q = ratings.counts / ratings.raters_of[:, None]
    for place, name in enumerate(ratings.classes):
        row = c.by_class[name]
        p = judgments.counts[2, :, place] / 10
        rho = scipy.stats.spearmanr(p, q[:, place]).statistic
        assert row.spearman["sharp, t 1"].value == pytest.approx(rho, abs=1e-4)
        assert row.rate.value == pytest.approx(q[:, place].mean(), abs=1e-5)
        off = p.mean() - q[:, place].mean()
        assert row.difference["sharp, t 1"].value == pytest.approx(off, abs=1e-5)
        assert row.spearman[RIGHT].value < row.ceiling.value + 0.1
        assert 0 < row.agreement.value < row.ceiling.value < 1


@pytest.mark.slow
def test_dimensions_are_numpys(found, worlds):
    ratings, _, judgments, _ = worlds["ordinal"]
    row = found["ordinal"].by_dimension["arousal"]
    y = ratings.values[:, 1].reshape(-1, 5)
    x = judgments.values[2, :, :, 1]
    name = "sharp, t 1"
    r = np.corrcoef(x.mean(1), y.mean(1))[0, 1]
    assert row.pearson[name].value == pytest.approx(r, abs=1e-4)
    assert row.mae[name].value == pytest.approx(np.abs(x.mean(1) - y.mean(1)).mean(), abs=1e-4)
    assert row.judge_spread[name].value == pytest.approx(x.std(1, ddof=1).mean(), abs=1e-4)
    assert row.reliability.value == pytest.approx(
        1 - y.var(1, ddof=1).mean() / (5 * y.mean(1).var(ddof=1)), abs=1e-4
    )
    assert row.pearson[RIGHT].value < row.ceiling.value + 0.05


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_sources_of_noise_add_up(found, kind):
    for name, row in found[kind].judges.items():
        if kind != "multi":
            assert not row.by_source
            continue
        width = {k: of["gap"].high - of["gap"].low for k, of in row.by_source.items()}
        assert set(width) == {"texts", "raters", "samples", "all"}
        assert width["all"] > 0.9 * max(width.values())
        for of in row.by_source.values():
            assert of["gap"].value == pytest.approx(row.gap.value, abs=1e-4), name


@pytest.mark.slow
def test_worth_per_1000_tokens_is_that_of_the_answers_at_hand(found, worlds):
    rows = found["single"].judges
    sides = worlds["single"][3]
    spread = found["single"].panel.spread.value
    for name, tokens in ((RIGHT, 500), ("sharp, t 1", 2000)):
        row = rows[name]
        assert row.tokens == tokens
        worth = row.per_1000_tokens
        assert worth.value == pytest.approx(spread / row.as_used.value * 1000 / tokens, rel=1e-3)
        assert worth.low < worth.value < worth.high
    assert rows["right, t 1"].tokens is None and rows["right, t 1"].per_1000_tokens is None
    assert found["single"].pools["right, pooled"].tokens is None
    assert found["multi"].judges[RIGHT].tokens is None
    np.testing.assert_array_equal(sides.take(np.arange(3)).tokens[0], [500] * 3)


@pytest.mark.slow
def test_pooling_right_judges_is_no_better_and_differences_are_paired(found):
    c = found["single"]
    assert "right, pooled" in c.pools
    (pair,) = [d for d in c.differences if {d.first, d.second} == {RIGHT, "right, t 1"}]
    assert pair.skill.low < 0 < pair.skill.high
    first = c.judges[pair.first].skill
    assert pair.skill.high - pair.skill.low < 1.5 * (first.high - first.low)
    assert pair.skill.value == pytest.approx(
        c.judges[pair.first].skill.value - c.judges[pair.second].skill.value
    )


@pytest.mark.slow
def test_the_jury_is_split_without_the_noise_of_few_samples(found, worlds):
    _, truth, _, _ = worlds["single"]
    j = found["single"].jury
    sharp = truth**3 / (truth**3).sum(-1, keepdims=True)
    mean = np.broadcast_to(truth.mean(0), truth.shape)
    between = np.stack([truth, sharp, mean]).var(0).sum(-1).mean()
    assert j.between.low < between < j.between.high
    assert j.plug_in == pytest.approx(j.between.value + j.null, abs=1e-5)
    assert j.settings.low < 0.005
    assert j.total.value == pytest.approx(
        j.within.value + j.settings.value + j.between.value, abs=1e-4
    )
    assert 0 < j.entropy_null < j.entropy_plug_in
    assert len(j.divides_models) == 8 and j.divides_models[0].value >= j.divides_models[1].value


@pytest.mark.slow
def test_strata_are_scored_by_other_raters(found):
    """Scored by the raters who sort, agreement would look like the truth of a sure judge."""
    c = found["single"]
    assert sum(s.items for s in c.strata.values()) == 240
    for s in c.strata.values():
        assert s.gap[RIGHT].low < 0.03 and s.gap[RIGHT].high > -0.03


@pytest.mark.slow
def test_the_right_judge_may_stand_in(found):
    for kind in KINDS:
        rows = found[kind].replacement
        assert rows[RIGHT].raters == 6
        assert rows[RIGHT].winning_rate >= rows["mean, t 1"].winning_rate
        assert rows[RIGHT].distribution_advantage > 0.5


@pytest.mark.slow
def test_transparency_of_classes_that_is_none(found):
    t = found["multi"].transparency
    assert t.classes["joy"].lexical == 1
    assert t.classes["neutral"].lexical == 0
    assert 0 < t.permutation <= 1
    assert t.words == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_report_holds_it_all(found, kind, tmp_path):
    words, files = report.write(found[kind], tmp_path / "out", {"command": "ferjax <b>"})
    page = files[0].read_text()
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")
    assert "ferjax &lt;b&gt;" in page
    assert any("worth" in finding.text for finding in words)
    assert any("two settings of right pooled" in finding.text for finding in words)
    tables = json.loads(files[1].read_text())
    assert tables["judges"][RIGHT]["gap"]["value"] == found[kind].judges[RIGHT].gap.value
    lines = files[2].read_text().splitlines()
    assert lines[0] == "figure,value,low,high" and len(lines) > 100
    shown = re.sub(r"<[^>]*>", " ", page.split("<main>")[1]).lower()
    assert not re.search(r"\bnan\b|\binf\b", shown)


def test_too_few_texts_are_refused(worlds):
    _, _, _, sides = worlds["single"]
    few = dataclasses.replace(sides, ratings=sides.ratings.take(np.arange(5)))
    with pytest.raises(ValueError, match="5 texts have two ratings or more"):
        compare(few)
