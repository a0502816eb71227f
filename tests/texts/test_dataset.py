"""Texts as training data, and an ensemble trained on them from the command line."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.cli import main
from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.models.networks import members_model
from ferjax.predictions import Predictions
from ferjax.texts import dataset, world
from ferjax.texts.embeddings import read_embeddings
from ferjax.texts.features import hashed_ngrams

MODEL = ModelConfig(network="ngrams", buckets=512, dim=8)
CLASSES = world.LABELS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """600 texts of the world with one label each, and 100 of them to be judged."""
    folder = tmp_path_factory.mktemp("texts")
    drawn = world.make(600, 0)
    labels = world.ratings(drawn, 1, 0)[:, 0]
    rows = [f"{t}\t{k}\tid{i}" for i, (t, k) in enumerate(zip(drawn.texts.texts, labels))]
    rows.append(f"{drawn.texts.texts[0].upper()}!\t{labels[0]}\tcopy")
    rows.append(f"{drawn.texts.texts[1]}\tjoy,fear\tx")
    (folder / "texts.tsv").write_text("\n".join(rows) + "\n")
    judged = zip(drawn.texts.ids[500:], (t.lower() + ".." for t in drawn.texts.texts[500:]))
    lines = (json.dumps({"id": i, "text": t}) for i, t in judged)
    (folder / "judged.jsonl").write_text("\n".join(lines))
    np.save(folder / "embeddings.npy", np.random.default_rng(0).normal(size=(602, 8)))
    return folder


@pytest.fixture(scope="module")
def config(folder):
    paths = {"path": str(folder / "texts.tsv"), "held_out": str(folder / "judged.jsonl")}
    return Config(
        data=DataConfig(name="texts", classes=CLASSES, **paths),
        model=MODEL,
        train=TrainConfig(seeds=(1, 2), epochs=12, learning_rate=0.03, weight_decay=0.0),
        evaluate=EvaluateConfig(batch_size=64),
    )


def test_splits_leave_out_what_is_judged_and_keep_copies_together(config):
    loaded = dataset.load(config)
    ids = np.concatenate([loaded[name].ids for name in ("train", "valid", "test")])
    assert len(set(ids)) == len(ids) == 502
    assert not set(ids) & set(range(500, 600))
    for copy, first in ((600, 0), (601, 1)):
        (of,) = [name for name in ("train", "valid", "test") if first in loaded[name].ids]
        assert copy in loaded[of].ids
    everything = dataset.load(dataclasses.replace(config, data=_without(config.data, "held_out")))
    assert sum(len(everything[name].ids) for name in ("train", "valid", "test")) == 602
    several = next(s for s in ("train", "valid", "test") if 601 in loaded[s].ids)
    row = int(np.flatnonzero(loaded[several].ids == 601)[0])
    assert loaded[several].q[row, CLASSES.index("joy")] == 0.5
    assert loaded[several].votes[row].sum() == 2


def _without(data, field):
    return dataclasses.replace(data, **{field: ""})


@pytest.mark.parametrize(
    "content, message",
    [
        ("hello\t9\tx\n", "line 1: '9' is no class or its number"),
        ("hello\tjoy\nhi\n", "line 2: expected a text, a tab and labels"),
        ("hello\t\n", "line 1: '' is no class"),
        ("", "no text in it"),
    ],
)
def test_bad_rows_are_named(tmp_path, config, content, message):
    (tmp_path / "t.tsv").write_text(content)
    data = DataConfig(name="texts", path=str(tmp_path / "t.tsv"), classes=CLASSES)
    with pytest.raises(ValueError, match=message) as refused:
        dataset.load(dataclasses.replace(config, data=data))
    assert "t.tsv" in str(refused.value)


def test_panels_of_people_are_trained_on_with_their_counts(tmp_path):
    table = tmp_path / "panel.csv"
    rows = [("a", "so glad", "p1", "joy"), ("a", "so glad", "p2", "fear")]
    rows += [("b", "oh no", f"p{k}", "fear") for k in range(3)]
    lines = [",".join(row) for row in [("item", "text", "rater", "label"), *rows]]
    table.write_text("\n".join(lines) + "\n")
    (tmp_path / "panel.tsv").write_text("hello\tjoy\tx\n")
    read = dataset.read_labelled(str(tmp_path / "panel.*"), ("fear", "joy"))
    assert read.texts == ("so glad", "oh no", "hello")
    assert read.votes.tolist() == [[1, 1], [3, 0], [0, 1]]
    bare = tmp_path / "bare.csv"
    bare.write_text("item,rater,label\na,p,joy\n")
    with pytest.raises(ValueError, match=r"bare\.csv: training needs texts"):
        dataset.read_labelled(str(bare), ("fear", "joy"))


def test_ngrams_are_the_texts_alone():
    texts = ["I am so happy!", "i AM so happy!", "happy so am I!", "", "x " * 100]
    rows = hashed_ngrams(texts, 1000)
    assert rows.dtype == np.int32 and rows.min() >= 0 and rows.max() < 1000
    assert (rows[0] == rows[1]).all()
    assert set(rows[0]) != set(rows[2])  # pairs of words
    assert not rows[3].any()
    assert rows[4].all()


def test_embeddings_are_checked(tmp_path, folder, config):
    data = dataclasses.replace(config.data, embeddings=str(folder / "embeddings.npy"))
    model = ModelConfig(network="embeddings", dim=8)
    loaded = dataset.load(dataclasses.replace(config, data=data, model=model))
    assert loaded["train"].images.dtype == np.float32
    with pytest.raises(ValueError, match="602 embeddings for 3 texts"):
        read_embeddings(folder / "embeddings.npy", ["x"] * 3)
    with pytest.raises(ValueError, match=r"width 8, model\.dim is 16"):
        dataset.encode(
            Config(model=dataclasses.replace(model, dim=16)), ["x"] * 602, data.embeddings
        )
    with pytest.raises(ValueError, match="needs a file of them"):
        dataset.encode(Config(model=model), ["x"])
    with pytest.raises(ValueError, match="reads no texts"):
        dataset.encode(Config(), ["x"])
    np.save(tmp_path / "e.npy", np.array([[1.0], [np.nan]]))
    with pytest.raises(ValueError, match="row 1 is not finite"):
        read_embeddings(tmp_path / "e.npy", ["x"] * 2)


def test_a_text_is_the_mean_of_its_ngrams_whatever_their_order():
    model = members_model(MODEL, 6, extra=2)
    params = model.init(jax.random.key(0))
    inputs = jnp.array([[3, 5, 7, 0], [7, 0, 3, 5], [3, 5, 8, 0], [0, 0, 0, 0]])
    output = model.apply(params, inputs)
    assert output.logits.shape == (4, 6) and output.extra.shape == (4, 2)
    np.testing.assert_allclose(output.logits[0], output.logits[1], rtol=1e-5)
    assert not np.allclose(output.logits[0], output.logits[2])
    np.testing.assert_array_equal(output.logits[3], params["head"]["bias"])


def test_embeddings_are_brought_to_one_length():
    model = members_model(ModelConfig(network="embeddings", dim=4), 3)
    params = model.init(jax.random.key(0))
    inputs = jnp.array([[1.0, 2, 3, 4], [10.0, 20, 30, 40], [0, 0, 0, 0]])
    logits = model.apply(params, inputs).logits
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-5)
    assert np.isfinite(logits).all()


@pytest.mark.slow
def test_an_ensemble_over_texts_from_the_command_line(folder, config, tmp_path, capsys):
    (tmp_path / "c.json").write_text(config.to_json())

    def ferjax(*words):
        with pytest.raises(SystemExit) as exit:
            main(list(map(str, words)))
        shown = capsys.readouterr()
        assert exit.value.code == 0, shown.err
        return shown.out

    run = tmp_path / "run"
    assert "parameters: 4,150 per member" in ferjax(
        "train", tmp_path / "c.json", "--out", run, "--dry-run"
    )
    assert "next: ferjax judge predict" in ferjax("train", tmp_path / "c.json", "--out", run)
    with pytest.raises(SystemExit):
        main(["evaluate", str(run)])
    assert "judge predict" in capsys.readouterr().err
    out = tmp_path / "baseline.npz"
    ferjax("judge", "predict", run, "--texts", folder / "judged.jsonl", "--out", out)
    predictions = Predictions.load(out)
    assert predictions.log_probs.shape == (2, 100, 6)
    assert predictions.classes == CLASSES
    assert not np.allclose(*predictions.log_probs)  # members differ
    truth = world.make(600, 0).truth[500:]
    right = predictions.log_probs.mean(0).argmax(-1) == truth.argmax(-1)
    assert right.mean() > 0.7
