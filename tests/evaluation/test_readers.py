"""Predictions of other frameworks: what is recognised, what is refused, and that no model code is
needed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from ferjax.evaluation import readers

MEMBERS = 2
ITEMS = 30
CLASSES = 8


@pytest.fixture
def logits(rng):
    return 2 * rng.normal(size=(MEMBERS, ITEMS, CLASSES))


@pytest.fixture
def counts(rng):
    return rng.multinomial(10, rng.dirichlet(np.full(CLASSES, 0.4), ITEMS))


@pytest.mark.parametrize(
    "kind, of",
    [
        ("log_probs", lambda z: scipy.special.log_softmax(z, -1)),
        ("probs", lambda z: scipy.special.softmax(z, -1)),
        ("logits", lambda z: z),
    ],
)
def test_every_form_gives_the_same_log_probabilities(logits, tmp_path, kind, of):
    expected = scipy.special.log_softmax(logits, -1)
    for given in (kind, None):
        got, recognised = readers.to_log_probs(of(logits), given)
        np.testing.assert_allclose(got, expected, atol=1e-5)
        assert recognised == kind
    np.save(tmp_path / "bare.npy", of(logits).astype(np.float32))
    np.savez(tmp_path / "named.npz", **{kind: of(logits)})
    for file in ("bare.npy", "named.npz"):
        p, recognised = readers.read_condition(tmp_path / file)
        assert (recognised, p.condition) == (kind, file.split(".")[0])
        np.testing.assert_allclose(p.log_probs, expected, atol=1e-5)
    assert readers.to_log_probs(of(logits)[0])[0].shape == (1, ITEMS, CLASSES)


def test_certainty_keeps_its_impossible_classes():
    got, _ = readers.to_log_probs(np.eye(3)[None])
    np.testing.assert_array_equal(np.exp(got[0]), np.eye(3))


@pytest.mark.parametrize(
    "values, kind, message",
    [
        (np.full((2, 4, 8), 0.5), None, "do not sum to 1: say what they are"),
        (np.full((2, 4, 8), 0.2), "probs", "member 0, item 0 sum to 1.6"),
        (np.zeros((2, 4, 8)), "log_probs", "if they are not normalised, they are logits"),
        (np.full((2, 4, 8), np.nan), None, "member 0, item 0 are not numbers"),
        (np.full((2, 4, 8), -np.inf), "logits", "leave no distribution"),
        (np.zeros((2, 4, 8), int), None, "must be floating point, got int64"),
        (
            np.zeros((0, 4, 8)),
            None,
            r"at least one member, one item and two classes, got \(0, 4, 8\)",
        ),
        (np.zeros(8), None, r"must be \[member, item, class\] or \[item, class\]"),
    ],
)
def test_what_is_no_distribution_is_refused(values, kind, message):
    with pytest.raises(ValueError, match=message):
        readers.to_log_probs(values, kind)


def test_names_tell_conditions_and_meta_has_the_last_word(logits, tmp_path):
    meta = json.dumps({"condition": "blur_2", "corruption": "blur", "severity": 2})
    for name, about in (("gnoise_3", {}), ("cats", {}), ("x", {"meta": meta})):
        np.savez(tmp_path / f"{name}.npz", logits=logits, **about)
    found = [
        readers.read_condition(tmp_path / f"{name}.npz")[0] for name in ("gnoise_3", "cats", "x")
    ]
    assert [(p.condition, p.corruption, p.severity) for p in found] == [
        ("gnoise_3", "gnoise", 3),
        ("cats", None, None),
        ("blur_2", "blur", 2),
    ]


def test_votes_by_row_by_id_and_by_file(logits, counts, tmp_path):
    ids = 100 + np.arange(ITEMS)
    np.savez(tmp_path / "run1.npz", logits=logits, ids=ids)
    header = "id," + ",".join(f"c{c}" for c in range(CLASSES)) + ",unknown,NF"
    shuffled = np.random.default_rng(1).permutation(ITEMS)
    lines = [f"{ids[i]},{','.join(map(str, counts[i]))},0,1" for i in shuffled]
    (tmp_path / "votes.csv").write_text("\n".join([header, *lines]))
    predictions, kinds, classes = readers.load([tmp_path / "run1.npz"], tmp_path / "votes.csv")
    assert kinds == {"test": "logits"}  # a single file is the test split
    assert classes == tuple(f"c{c}" for c in range(CLASSES))
    np.testing.assert_array_equal(predictions["test"].votes, counts)
    abstentions = np.tile([0, 1], (ITEMS, 1))
    np.testing.assert_array_equal(predictions["test"].abstentions, abstentions)
    np.save(tmp_path / "votes.npy", counts)
    np.savez(tmp_path / "votes.npz", votes=counts)
    for file in ("votes.npy", "votes.npz"):
        predictions, _, classes = readers.load([tmp_path / "run1.npz"], tmp_path / file)
        assert classes is None
        np.testing.assert_array_equal(predictions["test"].votes, counts)


@pytest.mark.parametrize(
    "text, message",
    [
        ("a,b\n1,2\n", r"2 class columns \(a, b\), predictions have 8 classes"),
        (",".join("abcdefgh") + "\n1,2,3,4,5,6,7\n", "line 2: 7 columns where the header has 8"),
        (",".join("abcdefgh") + "\n1,2,3,4,5,6,7,x\n", "line 2: not a row of votes"),
        (
            ",".join("abcdefgh") + "\n1,2,3,4,5,6,7,-1\n",
            "votes.csv: .*row 0: expected whole counts",
        ),
        ("1,2,3,4,5,6,7,8\n1,2,3,4,5,6,7,8\n", "line 1: a header is needed"),
        (",".join("abcdefgh") + "\n1,2,3,4,5,6,7,8\n", "1 rows of votes for 30 test items"),
        (
            "id," + ",".join("abcdefgh") + "\n7,1,2,3,4,5,6,7,8\n",
            "no votes for 29 of 30 test items; the first is id 0",
        ),
        ("", "a header and at least one row"),
    ],
)
def test_votes_that_do_not_fit_are_refused_by_name(logits, tmp_path, text, message):
    np.savez(tmp_path / "test.npz", logits=logits)
    (tmp_path / "votes.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        readers.load([tmp_path / "test.npz"], tmp_path / "votes.csv")


def test_files_that_do_not_fit_are_refused_by_name(logits, tmp_path):
    for name, arrays in {
        "none": {"images": logits},
        "two": {"logits": logits, "probs": logits},
        "votes": {"logits": logits, "votes": np.ones((3, 8))},
        "labels": {"logits": logits, "labels": np.full(ITEMS, 8)},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
    for name, message in {
        "none": "expected one of the arrays",
        "two": "expected one of the arrays",
        "votes": "votes must have one row",
        "labels": r"class numbers 0\.\.7",
    }.items():
        with pytest.raises(ValueError, match=rf"{name}\.npz: .*{message}"):
            readers.read_condition(tmp_path / f"{name}.npz")
    np.savez(tmp_path / "cats.npz", logits=logits)
    np.savez(tmp_path / "dogs.npz", logits=logits)
    with pytest.raises(ValueError, match="no condition 'test' among cats, dogs"):
        readers.load([tmp_path / "cats.npz", tmp_path / "dogs.npz"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no .npz or .npy file in this folder"):
        readers.load([tmp_path / "empty"])


def test_a_corrupted_set_alone_is_not_taken_for_the_clean_one(logits, tmp_path):
    np.savez(tmp_path / "blur_3.npz", logits=logits)
    with pytest.raises(ValueError, match="name the file of the clean test items test.npz"):
        readers.load([tmp_path / "blur_3.npz"])
    (tmp_path / "blur_3.npz").write_text("junk")
    with pytest.raises(
        ValueError,
        match=r"blur_3.npz: neither .npz nor .npy, or damaged \(not one of numpy's files\)",
    ):
        readers.load([tmp_path])


def test_labels_are_single_votes(logits, tmp_path):
    labels = np.arange(ITEMS) % CLASSES
    np.savez(tmp_path / "raf.npz", logits=logits, labels=labels)
    votes = readers.read_condition(tmp_path / "raf.npz")[0].votes
    np.testing.assert_array_equal(votes, np.eye(CLASSES, dtype=int)[labels])


@pytest.mark.slow
def test_score_only_evaluation_imports_no_model_and_no_training_code(logits, counts, tmp_path):
    folder = tmp_path / "predictions"
    folder.mkdir()
    np.savez(folder / "test.npz", logits=logits)
    np.save(folder / "gnoise_5.npy", logits + np.random.default_rng(2).normal(size=logits.shape))
    np.savez(tmp_path / "votes.npz", votes=counts)
    code = (
        "import sys; from ferjax.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "libraries = ('flax', 'optax', 'orbax', 'tensorflow_datasets', 'torch')\n"
        "ours = ('ferjax.models', 'ferjax.ensemble', 'ferjax.serving', 'ferjax.faces')\n"
        "found = [m for m in sys.modules if m.split('.')[0] in libraries or m.startswith(ours)]\n"
        "assert not found, found"
    )
    words = [
        "evaluate",
        "--predictions",
        str(folder),
        "--votes",
        str(tmp_path / "votes.npz"),
        "--out",
        str(tmp_path / "out"),
        "--resamples",
        "20",
    ]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tables = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    taken_for = dict(tables["about"]["files"]["What each file was taken for"])
    assert taken_for["gnoise_5"].startswith("logits") and "30 items" in taken_for["gnoise_5"]
    assert tables["shift"]["corruptions"]["gnoise"]["5"]["epistemic"]["auroc"]["value"] > 0
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "out" / "thresholds.json").exists()


@pytest.mark.parity
def test_the_ten_lines_for_pytorch_do_what_they_say(tmp_path, counts):
    torch = pytest.importorskip("torch")
    example = readers.__doc__.split("::\n", 1)[1]
    lines = [line[4:] for line in example.splitlines() if line.strip()]
    assert len(lines) <= 10
    assert re.match("import numpy as np, torch", lines[0])
    space: dict = {}
    exec("\n".join(lines), space)
    members = [torch.nn.Linear(5, CLASSES) for _ in range(3)]
    images = torch.randn(ITEMS, 5)
    loader = [(images[i : i + 16], torch.as_tensor(counts[i : i + 16])) for i in (0, 16)]
    space["dump"](members, loader, tmp_path / "test.npz")
    predictions, kinds, _ = readers.load([tmp_path / "test.npz"])
    assert kinds == {"test": "log_probs"}
    expected = torch.stack([m(images) for m in members]).log_softmax(-1).detach().numpy()
    np.testing.assert_allclose(predictions["test"].log_probs, expected, atol=1e-5)
    np.testing.assert_array_equal(predictions["test"].votes, counts)
    assert Path(tmp_path / "test.npz").stat().st_size > 0


def test_parameters_of_dirichlet_distributions_are_mean_and_concentration(tmp_path):
    alpha = np.random.default_rng(0).gamma(2.0, size=(2, 5, 3))
    np.savez(tmp_path / "test.npz", alpha=alpha, votes=np.ones((5, 3), int))
    p, kind = readers.read_condition(tmp_path / "test.npz")
    assert kind == "alpha"
    np.testing.assert_allclose(np.exp(p.log_probs), alpha / alpha.sum(-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(p.log_concentration, np.log(alpha.sum(-1)), rtol=1e-5)
    np.savez(tmp_path / "one.npz", alpha=alpha[0].round().astype(int) + 1)
    assert readers.read_condition(tmp_path / "one.npz")[0].log_concentration.shape == (1, 5)


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"alpha": np.array([[1.0, 2.0], [0.0, 0.0]])}, "alpha of member 0, item 1 must be >= 0"),
        ({"alpha": np.array([[1.0, -2.0]])}, r"got \[1.0, -2.0\]"),
        ({"alpha": np.array([[1.0, np.nan]])}, "alpha of member 0, item 0"),
        ({"alpha": np.ones(3)}, r"got float64 \(3,\)"),
        ({"alpha": np.ones((2, 3)), "log_probs": np.zeros((2, 3))}, "expected one of the arrays"),
        ({"alpha": np.ones((2, 3)), "log_concentration": np.ones((1, 2))}, "as well"),
    ],
)
def test_parameters_that_are_none_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "test.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        readers.read_condition(tmp_path / "test.npz")
