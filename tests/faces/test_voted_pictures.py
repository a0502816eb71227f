"""Labelled pictures of every known layout: found, decoded, split, kept and read again."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from ferjax.config import DataConfig
from ferjax.faces import dataset, ferplus, picture_dataset, voted_pictures
from ferjax.faces.spec import DataSpec
from ferjax.faces.voted_pictures import find

SIDE = 20


def picture(number, colour=True):
    """A picture that no other number has, of any size."""
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 255, (24, 20 + number % 7, 3), np.uint8)).convert(
        "RGB" if colour else "L"
    )


def draw(folder, *names):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return folder


def write(path, *rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def chosen(found):
    return [found.classes[i] for i in found.votes.argmax(1)]


def test_folders_are_classes_and_the_splits_lie_above_or_below(tmp_path):
    names = ("train/happy/1.png", "val/happy/2.png", "sad/test/3.png", "train/sad/.hidden/4.png")
    found = find(draw(tmp_path, *names))
    assert found.classes == ("happy", "sad")
    assert dict(zip(found.names, zip(chosen(found), found.splits))) == {
        "sad/test/3.png": ("sad", "test"),
        "train/happy/1.png": ("happy", "train"),
        "val/happy/2.png": ("happy", "valid"),
    }
    assert found.votes.sum() == 3 and found.abstentions.shape == (3, 0)


def test_numbered_folders_have_names_and_may_be_left_out(tmp_path):
    draw(tmp_path, "1/a.png", "2/b.png", "2/c.png", "7/d.png")
    found = find(tmp_path, names={"1": "surprise", "2": "fear", "7": ""})
    assert found.classes == ("fear", "surprise") and len(found.pictures) == 3
    assert "1 pictures left out, as --names says" in found.notes
    ordered = find(tmp_path, classes=("2", "7", "1"))
    assert ordered.classes == ("2", "7", "1") and chosen(ordered) == ["1", "2", "2", "7"]
    with pytest.raises(ValueError, match="label '7' is none of the classes 1, 2; say what it is"):
        find(tmp_path, classes=("1", "2"))


def test_a_table_gives_one_label_each(tmp_path):
    draw(tmp_path, "a.png", "deep/b.png", "c.png")
    rows = [("pth", "label", "Usage", "subject", "age"), ("a.png", "joy", "Training", "x", 30)]
    rows += [("deep/b.png", "rage", "PublicTest", "y", 40), ("gone.png", "joy", "Training", "z", 5)]
    found = find(tmp_path, write(tmp_path / "labels.csv", *rows))
    assert found.classes == ("joy", "rage") and chosen(found) == ["joy", "rage"]
    assert found.splits == ["train", "valid"] and found.groups == ["x", "y"]
    assert "column 'pth' is the picture" in found.notes
    assert any("1 pictures of the table are not there, gone.png" in note for note in found.notes)


@pytest.mark.parametrize(
    "votes, said",
    [
        ([(3, 1, 0), (0, 2, 3)], "votes are counts"),
        ([("3.0", "1.0", "0"), (0, 2, 3)], "votes are counts"),
        ([(0.75, 0.25, 0), (0, 0.5, 0.5)], "all multiples of 1/4: 4 votes a picture"),
    ],
)
def test_a_table_gives_votes_for_the_classes_that_are_named(tmp_path, votes, said):
    draw(tmp_path, "a.png", "b.png")
    rows = [("file", "calm", "tense", "unknown", "age"), ("a.png", *votes[0], 3)]
    table = write(tmp_path / "votes.csv", *rows, ("b.png", *votes[1], 4))
    found = find(tmp_path, table, classes=("tense", "calm"), abstentions=("unknown",))
    assert found.classes == ("tense", "calm") and found.kinds == ("unknown",)
    total = found.votes.sum(1) + found.abstentions.sum(1)
    shares = np.concatenate([found.votes, found.abstentions], 1) / total[:, None]
    wanted = np.array(votes, float)[:, [1, 0, 2]]
    np.testing.assert_allclose(shares, wanted / wanted.sum(1, keepdims=True))
    assert any(said in note for note in found.notes)


@pytest.mark.parametrize(
    "rows, options, message",
    [
        ([("file", "calm", "age"), ("a.png", 3, 30)], {}, "name the classes among them with --cl"),
        ([("calm", "tense"), (1, 2)], {}, "no column names the pictures; known names are path"),
        ([("file", "path", "label"), ("a.png", "b", "c")], {}, "could both be the picture; say"),
        ([("file", "label"), ("a.png", "")], {}, "labels.csv line 2: no label"),
        ([("file", "label"), ("a.png", "x"), ("a.png", "y")], {}, "line 3: a.png is there twice"),
        ([("file", "label"), ("a.png",)], {}, "line 2: 1 fields, the header has 2"),
        ([("file", "label", "split"), ("a.png", "x", "later")], {}, "line 2: split 'later'"),
        ([("file", "label"), ("none.png", "x")], {}, "none of 1 pictures of the table is in"),
        ([("file", "a", "b"), ("a.png", 1, -2)], {"classes": "ab"}, "line 2: votes must be >= 0"),
        ([("file", "a", "b"), ("a.png", 1, "x")], {"classes": "ab"}, "must be numbers, got 'x'"),
        ([("file", "a", "b"), ("a.png", 0.3, 2.5)], {"classes": "ab"}, "neither whole counts nor"),
        ([("file", "a"), ("a.png", 1)], {"classes": "ab"}, "no column 'b'; the header is file, a"),
        ([("file", "label")], {}, "no row below the header"),
    ],
)
def test_tables_that_do_not_say_are_refused(tmp_path, rows, options, message):
    draw(tmp_path, "a.png")
    with pytest.raises(ValueError, match=message):
        find(tmp_path, write(tmp_path / "labels.csv", *rows), **options)


def test_ferplus_as_its_own_script_leaves_it(tmp_path):
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        draw(tmp_path / folder, "fer0.png", "fer1.png")
        rows = [(f"fer{i}.png", "(0, 0, 48, 48)", 4, 0, 0, 1, 3, 2, 0, 0, 0, i) for i in range(3)]
        write(tmp_path / folder / "label.csv", *rows)
    found = find(tmp_path)
    assert found.classes == ferplus.CLASSES and found.kinds == ferplus.ABSTENTIONS
    assert sorted(found.splits) == ["test"] * 2 + ["train"] * 2 + ["valid"] * 2
    assert found.votes[0].tolist() == [4, 0, 0, 1, 3, 2, 0, 0] and found.abstentions[1, 1] == 1
    assert "3 pictures of label.csv are not there" in found.notes


def test_kaggles_table_holds_the_pixels(tmp_path):
    pixels = " ".join(map(str, range(256)))
    table = write(tmp_path / "train.csv", ("emotion", "pixels"), (0, pixels), (3, pixels))
    found = find(table)
    assert chosen(found) == ["angry", "happy"] and found.splits == ["", ""]
    np.testing.assert_array_equal(found.pictures[0].ravel(), np.arange(256))
    for row, message in (
        ((9, pixels), "line 2: emotion must be 0 to 6, got '9'"),
        ((1, pixels + " 7"), "line 2: 257 pixels are no square picture"),
        ((1, pixels.replace("200", "300")), "line 2: pixels must be whole numbers 0 to 255"),
    ):
        write(table, ("emotion", "pixels"), row)
        with pytest.raises(ValueError, match=message):
            find(table)


def test_parquet_files_name_their_labels(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = []
    for number in range(3):
        buffer = io.BytesIO()
        picture(number).save(buffer, "PNG")
        images.append({"bytes": buffer.getvalue(), "path": None})
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pyarrow.table({"image": images, "label": [1, 0, 1]}).replace_schema_metadata(about)
    parquet.write_table(table, tmp_path / "train-00000-of-00001.parquet")
    found = find(tmp_path)
    assert chosen(found) == ["dog", "cat", "dog"] and set(found.splits) == {"train"}
    decoded = picture_dataset.decode(found, SIDE, colour=True)
    assert decoded.images.shape == (3, SIDE, SIDE, 3)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """Forty pictures of two classes in ten groups, one of them broken, two of them identical."""
    folder = tmp_path_factory.mktemp("pictures")
    names = [f"{i}.png" for i in range(40)]
    draw(folder, *names)
    (folder / "7.png").write_bytes(b"no picture")
    picture(3).save(folder / "30.png")
    rows = [(name, "ab"[i % 2], i % 10) for i, name in enumerate(names)]
    table = write(folder / "labels.csv", ("file", "label", "group"), *rows)
    return picture_dataset.decode(find(folder, table), SIDE, colour=True)


def test_what_cannot_be_read_is_named_and_colour_is_kept(decoded):
    assert decoded.images.shape == (39, SIDE, SIDE, 3) and "7.png" not in decoded.found.names
    assert decoded.unreadable == [("7.png", "not an image")]
    assert (decoded.images[..., 0] != decoded.images[..., 1]).any()


def test_groups_and_identical_pictures_stay_in_one_split(decoded):
    splits, notes = picture_dataset.split(decoded, valid=0.2, test=0.2, seed=1)
    assert set(splits) == {"train", "valid", "test"} and len(notes) == 2
    of_group = {}
    for name, split in zip(decoded.found.names, splits):
        number = int(name.removesuffix(".png")) % 10
        number = 0 if number == 3 else number  # picture 30 is picture 3 once more
        assert of_group.setdefault(number, split) == split
    again, _ = picture_dataset.split(decoded, valid=0.2, test=0.2, seed=1)
    np.testing.assert_array_equal(again, splits)


def test_splits_that_are_named_are_kept_and_others_drawn_from_train(decoded):
    named = ["test" if i < 10 else "train" for i in range(39)]
    given = decoded._replace(found=decoded.found._replace(splits=named, groups=None))
    splits, _ = picture_dataset.split(given, seed=2)
    assert (splits[:10] == "test").all() and (splits == "valid").sum() == 4
    some = decoded._replace(found=decoded.found._replace(splits=["", *named[1:]]))
    with pytest.raises(ValueError, match="1 pictures are in no split, 0.png first, and others"):
        picture_dataset.split(some)


def test_a_data_set_comes_back_and_trains_as_any_other(decoded, tmp_path):
    splits, _ = picture_dataset.split(decoded, valid=0.2, test=0.2)
    spec = DataSpec(decoded.found.classes, SIDE, colour=True)
    picture_dataset.save(decoded, splits, spec, tmp_path / "made", {"notes": []})
    loaded = dataset.load(DataConfig(name="folder", path=str(tmp_path / "made")))
    assert loaded.spec == spec and loaded.ood == {}
    assert sum(len(faces.ids) for faces in loaded.splits.values()) == 39
    rows = loaded["train"].ids
    np.testing.assert_array_equal(loaded["train"].images, decoded.images[rows])
    np.testing.assert_array_equal(loaded["train"].votes, decoded.found.votes[rows])
    with pytest.raises(FileExistsError, match="exists and is not empty"):
        picture_dataset.save(decoded, splits, spec, tmp_path / "made", {})
    (tmp_path / "made" / "test.npz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"test\.npz"):
        picture_dataset.load(tmp_path / "made")
    with pytest.raises(FileNotFoundError, match="no data set that `ferjax data folder"):
        picture_dataset.load(tmp_path / "nowhere")


def test_label_filters_take_any_number_of_people():
    votes = np.array([[3, 1], [1, 1], [0, 0], [1, 0]])
    abstentions = np.array([[0], [2], [0], [2]])
    keep, q = picture_dataset.targets(votes, abstentions, "paper")
    assert keep.tolist() == [True, False, False, False] and q[0].tolist() == [0.75, 0.25]
    keep, q = picture_dataset.targets(votes, abstentions, "majority")
    assert keep.tolist() == [True, False, False, False] and q[0].tolist() == [1, 0]
    with pytest.raises(ValueError, match="'probability' is FER\\+'s own"):
        picture_dataset.targets(votes, abstentions, "probability")


def test_what_is_no_layout_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder or file"):
        find(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="no picture in this folder"):
        find(tmp_path)
    draw(tmp_path, "happy/1.png", "2.png")
    with pytest.raises(ValueError, match="2.png: no folder names its class; expected CLASS/pict"):
        find(tmp_path)
    (tmp_path / "2.png").unlink()
    with pytest.raises(ValueError, match="only one label, happy; at least two are needed"):
        find(tmp_path)
    draw(tmp_path, "happy/sad/3.png")
    with pytest.raises(ValueError, match="both happy and sad could"):
        find(tmp_path)
    with pytest.raises(ValueError, match="16 to 512 pixels, got 8"):
        picture_dataset.decode(voted_pictures.Labelled(*[[]] * 9), 8)
