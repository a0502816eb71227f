"""What one side says alone."""

import math
import warnings

import numpy as np
import pytest

from ferjax import comparing

HEAD = "item,rater,valence\n"


def panel(folder, *rows):
    file = folder / "ratings.csv"
    file.write_text(HEAD + "".join(f"{row}\n" for row in rows))
    return comparing.read_panel(file).ratings


def test_agreement_is_the_intraclass_correlation_of_two_people(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.integers(1, 6, 40)[:, None] + rng.integers(-1, 2, (40, 2))
    rows = [f"t{i},p{k},{values[i, k]}" for i in range(40) for k in range(2)]
    found = comparing.agreement(panel(tmp_path, *rows))["valence"]
    within = values.var(1, ddof=1).mean()
    between = values.mean(1).var(ddof=1) - within / 2
    assert found.mean == pytest.approx(values.mean(), rel=1e-5)
    assert found.pair == pytest.approx(between / (between + within), rel=1e-4)


@pytest.mark.parametrize("twice", [0, 1])
def test_one_rating_a_text_says_nothing_of_agreement(tmp_path, twice):
    rows = ["t1,p1,3", "t2,p1,4", "t3,p2,2", "t4,p2,5", "t1,p2,3"][: 4 + twice]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = comparing.agreement(panel(tmp_path, *rows))["valence"]
    assert found.mean == 3.5
    assert math.isnan(found.pair) and math.isnan(found.reliability) and math.isnan(found.ceiling)
