"""Files of FER+: what is built is what was given; what is wrong is refused before any writing."""

import csv
import os
import sys

import numpy as np
import pytest

from ferjax.cli import main
from ferjax.config import DataConfig
from ferjax.faces import dataset, ferplus, ferplus_files

USAGES = ["Training"] * 8 + ["PublicTest"] * 3 + ["PrivateTest"] * 3
ROWS = len(USAGES)
VOTES = np.array(
    [
        [6, 1, 1, 0, 0, 0, 0, 0, 1, 1],
        [0, 9, 0, 0, 0, 0, 0, 0, 1, 0],
        [0, 0, 4, 0, 0, 0, 0, 0, 6, 0],
        [1, 0, 0, 2, 1, 0, 0, 0, 0, 6],
        [0, 0, 0, 5, 5, 0, 0, 0, 0, 0],
        [2, 2, 2, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 10, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 8, 1, 1, 0],
        [9, 0, 0, 0, 0, 0, 0, 0, 1, 0],
        [0, 7, 3, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0, 5, 5],
        [3, 3, 0, 4, 0, 0, 0, 0, 0, 0],
        [0, 10, 0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 9, 0, 0, 0, 0],
    ]
)


def pictures():
    drawn = np.random.default_rng(0).integers(0, 256, (ROWS, 48, 48), np.uint8)
    drawn[6] = drawn[9]  # a Training copy of a PublicTest picture
    drawn[1] = drawn[0]  # and a repeat within Training
    return drawn


@pytest.fixture
def pair(tmp_path):
    """The two files as rows, which a test may spoil before it calls ``write``."""
    pixels = [["emotion", "pixels", "Usage"]]
    pixels += [
        [0, " ".join(map(str, image.ravel())), usage] for image, usage in zip(pictures(), USAGES)
    ]
    voted = [["Usage", "Image name", *ferplus.COLUMNS]]
    voted += [
        [usage, f"fer{i:07}.png", *row]
        for i, (usage, row) in enumerate(zip(USAGES, VOTES.tolist()))
    ]

    class Pair:
        rows = {"fer2013": pixels, "votes": voted}
        paths = {"fer2013": tmp_path / "fer2013.csv", "votes": tmp_path / "fer2013new.csv"}
        out = tmp_path / "sub" / "built"

        def write(self):
            for name, path in self.paths.items():
                with open(path, "w", newline="") as file:
                    csv.writer(file).writerows(self.rows[name])
            (tmp_path / "sub").mkdir(exist_ok=True)

        def command(self):
            return [
                "data",
                "ferplus",
                "--fer2013",
                str(self.paths["fer2013"]),
                "--votes",
                str(self.paths["votes"]),
                "--out",
                str(self.out),
            ]

    return Pair()


def refused(pair, capfd):
    """Runs the command, expects a refusal that leaves nothing behind; its message, unwrapped."""
    before = sorted(os.listdir(pair.out.parent))
    with pytest.raises(SystemExit) as exit:
        main(pair.command())
    assert exit.value.code == 2
    assert sorted(os.listdir(pair.out.parent)) == before
    return "".join(capfd.readouterr().err.split())


def test_what_is_built_is_what_was_given(pair, capfd):
    pair.write()
    with pytest.raises(SystemExit) as exit:
        main(pair.command())
    assert exit.value.code == 0
    assert os.listdir(pair.out.parent) == ["built"]
    assert "tensorflow" not in sys.modules
    got = ferplus_files.read(pair.out)
    for usage, split in ferplus.SPLITS.items():
        rows = [i for i, u in enumerate(USAGES) if u == usage]
        np.testing.assert_array_equal(got[split].images, pictures()[rows])
        np.testing.assert_array_equal(got[split].votes, VOTES[rows, :8])
        np.testing.assert_array_equal(got[split].abstentions, VOTES[rows, 8:])
        np.testing.assert_array_equal(got[split].ids, rows)
    assert "tensorflow" not in sys.modules
    with pytest.raises(SystemExit) as exit:
        main(pair.command())
    assert exit.value.code == 2
    assert "existsandisnotempty" in "".join(capfd.readouterr().err.split())

    faces = dataset.load(DataConfig(name="ferplus", path=str(pair.out)))
    keep = ferplus.targets(VOTES[:, :8], VOTES[:, 8:]).keep
    assert faces["train"].ids.tolist() == [i for i in range(8) if keep[i]]
    assert faces["not_a_face"].ids.tolist() == [3, 10]
    assert faces["unknown"].ids.tolist() == [2, 10]
    np.testing.assert_allclose(faces["train"].q[0], [0.75, 0.125, 0.125, 0, 0, 0, 0, 0])
    without = dataset.load(DataConfig(name="ferplus", path=str(pair.out), deduplicate=True))
    assert set(faces["train"].ids) - set(without["train"].ids) == {6}
    assert without["valid"].ids.tolist() == faces["valid"].ids.tolist()


def test_counts_are_printed_and_duplicates_reported():
    usage = np.array([ferplus.SPLITS[usage] for usage in USAGES])
    rows = ferplus_files.Rows(usage, np.arange(ROWS), VOTES[:, :8], VOTES[:, 8:], pictures())
    counts = dataset.count(rows.by_split())
    assert counts["train"]["rows"] == 8
    assert [counts["train"][name] for name in ("paper", "majority", "probability")] == [6, 4, 6]
    assert [counts["train"][name] for name in ("not a face", "unknown")] == [1, 1]
    assert counts["train"]["duplicates within split"] == 1
    assert counts["train"]["duplicates in another split"] == 1
    assert counts["valid"]["duplicates in another split"] == 1
    assert counts["test"]["duplicates in another split"] == 0
    assert counts["test"]["duplicates within split"] == 0
    votes_only = dataset.count(rows._replace(images=None).by_split())
    assert "duplicates within split" not in votes_only["train"]


def _cell(name, row, column, value):
    def spoil(pair):
        pair.rows[name][row][column] = value

    return spoil


def _pixel(value):
    def spoil(pair):
        pair.rows["fer2013"][3][1] = f"{value} " + pair.rows["fer2013"][3][1].split(" ", 1)[1]

    return spoil


def _cut_row(name):
    def spoil(pair):
        pair.rows[name][-1] = pair.rows[name][-1][:2]

    return spoil


def _swap(pair):
    pair.paths = {"fer2013": pair.paths["votes"], "votes": pair.paths["fer2013"]}
    pair.rows = {"fer2013": pair.rows["votes"], "votes": pair.rows["fer2013"]}


SPOILT = {
    "a row of fer2013.csv cut short": (
        _cut_row("fer2013"),
        "fer2013.csv line 15: 2 fields, expected 3; truncated",
    ),
    "a row of fer2013new.csv cut short": (
        _cut_row("votes"),
        "fer2013new.csv line 15: 2 fields, expected 12; truncated",
    ),
    "fewer pictures": (lambda p: p.rows["fer2013"].pop(), "13 rows"),
    "fewer votes": (lambda p: p.rows["votes"].pop(), "the first row without a partner is row 14"),
    "no rows": (lambda p: p.rows["votes"].__delitem__(slice(1, None)), "no rows after the header"),
    "empty file": (lambda p: p.rows["votes"].clear(), "the header is empty"),
    "swapped": (_swap, "missing column"),
    "too few pixels": (
        _cell("fer2013", 3, 1, "1 2 3"),
        "line 4: 3 pixels, expected 48 x 48 = 2304",
    ),
    "no pixels": (_cell("fer2013", 3, 1, ""), "line 4: 0 pixels"),
    "pixel above 255": (_pixel(256), "line 4: pixels must be 0..255"),
    "pixel below 0": (_pixel(-1), "line 4: pixels must be 0..255"),
    "pixel beyond any integer": (_pixel("9" * 30), "line 4: pixel"),
    "fractional pixel": (_pixel("1.5"), "line 4: pixel '1.5' is not a whole number"),
    "word for a pixel": (_pixel("x"), "line 4: pixel 'x' is not a whole number"),
    "negative votes": (_cell("votes", 3, 2, -1), "line 4: votes must be whole counts"),
    "fractional votes": (_cell("votes", 3, 2, 0.5), "line 4: votes must be whole counts"),
    "missing votes": (_cell("votes", 3, 2, ""), "line 4: votes must be whole counts"),
    "more votes than a byte": (_cell("votes", 3, 2, 300), "votes up to 300"),
    "more votes than any integer": (_cell("votes", 3, 2, "9" * 30), "line 4: votes"),
    "unknown Usage": (
        _cell("votes", 3, 0, "Test"),
        "line 4: Usage is 'Test', expected one of Training, PublicTest",
    ),
    "unknown Usage of a picture": (_cell("fer2013", 3, 2, ""), "line 4: Usage is ''"),
    "missing column": (_cell("votes", 0, 5, "sad"), "missing column sadness"),
    "Usage differs": (_cell("votes", 3, 0, "PublicTest"), "row 3: Usage is train in"),
    "a split without faces": (
        lambda p: [
            rows[i].__setitem__(rows[0].index("Usage"), "Training")
            for rows in p.rows.values()
            for i in range(1, ROWS + 1)
            if "PublicTest" in rows[i]
        ],
        "no row has Usage PublicTest",
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
def test_what_is_wrong_is_refused_by_place_and_nothing_is_left_behind(pair, capfd, kind):
    spoil, message = SPOILT[kind]
    spoil(pair)
    pair.write()
    assert message.replace(" ", "") in refused(pair, capfd)


def test_a_file_that_is_no_csv_is_refused(pair, capfd):
    pair.write()
    pair.paths["votes"].write_bytes(b"\0" * 300_000)
    assert "fer2013new.csv" in refused(pair, capfd)


def test_a_missing_file_and_a_folder_in_use_are_refused(pair, capfd):
    pair.write()
    pair.out.mkdir()
    (pair.out / "mine.txt").touch()
    assert "existsandisnotempty" in refused(pair, capfd)
    (pair.out / "mine.txt").unlink()
    pair.paths["fer2013"].unlink()
    assert "nosuchfile" in refused(pair, capfd)


def test_a_build_that_fails_half_way_leaves_nothing(pair, monkeypatch):
    pair.write()
    rows = ferplus_files.pair(
        ferplus_files.read_pixels(pair.paths["fer2013"]),
        ferplus_files.read_votes(pair.paths["votes"]),
        "a",
        "b",
    )
    builder = ferplus_files._builder_class()
    whole = builder._generate_examples

    def killed(self, split):
        yield next(whole(self, split))
        raise KeyboardInterrupt

    monkeypatch.setattr(builder, "_generate_examples", killed)
    monkeypatch.setattr(ferplus_files, "_builder_class", lambda: builder)
    with pytest.raises(KeyboardInterrupt):
        ferplus_files.build(rows, pair.out)
    assert os.listdir(pair.out.parent) == []


def test_votes_alone_can_be_counted(pair, capfd):
    pair.write()
    with pytest.raises(SystemExit) as exit:
        main(["data", "ferplus", "--votes", str(pair.paths["votes"])])
    assert exit.value.code == 0
    assert "paper" in capfd.readouterr().out


def test_reading_what_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no FER\\+ data set in"):
        ferplus_files.read(tmp_path)


@pytest.mark.slow
def test_a_data_set_leaves_nothing_beside_and_says_nothing_of_its_own(tmp_path, capfd, monkeypatch):
    """Its folder has the rights that the user's umask leaves."""
    before = os.umask(0o027)
    try:
        rows = ferplus_files.Rows(
            np.array(["train", "valid", "test"]),
            np.arange(3),
            np.full((3, 8), 1),
            np.zeros((3, 2), int),
            np.zeros((3, 48, 48), np.uint8),
        )
        written = []
        ferplus_files.build(rows, tmp_path / "set", lambda: written.append(1))
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["fer_plus"]
    for folder in (tmp_path / "set", tmp_path / "set" / "fer_plus" / "1.0.0"):
        assert folder.stat().st_mode & 0o777 == 0o750
    assert len(written) == 3
    assert capfd.readouterr() == ("", "")
