"""Small inputs that an earlier version got wrong, each read or refused as its README wants."""

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ferjax.cli import main
from ferjax.config import ModelConfig
from ferjax.evaluation import readers, vote_files
from ferjax.events import Message
from ferjax.faces import ferplus, ferplus_files, image_files, image_folders, voted_pictures
from ferjax.faces.pixel_budget import PixelBudget
from ferjax.models import pretrained
from ferjax.serving import sources

pytestmark = pytest.mark.rehearsal
NETWORK = ModelConfig(image_size=56, patch_size=14, dim=32, depth=2, heads=2)
CLASSES = ferplus.SPEC.classes


@pytest.fixture(scope="module")
def cases(shared_data) -> Path:
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.fixture
def refused(capsys):
    """What a command line that must be refused says."""

    def of(*words):
        with pytest.raises(SystemExit) as exit:
            main([str(word) for word in words])
        assert exit.value.code == 2
        return " ".join(capsys.readouterr().err.split())

    return of


@pytest.mark.parametrize(
    "name, left_out",
    [
        ("weights_hf+model.dinov2..safetensors", ""),
        ("weights_orig+module.backbone..safetensors", ""),
        ("weights_orig_teacher_ckpt_backbone+dino_head.safetensors", "2 tensors left out (dino_he"),
        ("weights_model_state_dict.pth", ""),
        ("hf_folder_bin_only", ""),
    ],
)
def test_weights_that_are_read(cases, name, left_out):
    heard = []
    params = pretrained.load_pretrained(cases / name, NETWORK, heard.append)
    assert {"embed", "block_0", "block_1"} <= set(params)
    assert [left_out in event.text for event in heard if isinstance(event, Message)] == [
        True
    ] * bool(left_out)


def test_parameters_of_a_module_are_weights(cases):
    with pytest.raises(ValueError, match=r"parameters\.pth: these weights have dim 16, the model"):
        pretrained.load_pretrained(cases / "parameters.pth", NETWORK)


@pytest.mark.parametrize(
    "name, message",
    [
        ("weights_hf_peft_unmerged_LoRA.safetensors", "holds LoRA adapters beside their base"),
        ("weights_orig_non-square_3x5.safetensors", "15 patch positions beside that of CLS are"),
        ("weights_timm_fc_norm__global_pool_avg_.safetensors", "averages its tokens before the"),
        ("weights_args_Namespace_timm_dino.pth", "holds a pickled argparse.Namespace, which"),
        ("f8.safetensors", "tensor embeddings.cls_token is of type F8_E4M3; expected one of"),
        ("index_traversal", "index.json names files outside its folder: ../w1"),
        ("weights_dinov3_hf.safetensors", "a DINOv3, which has rotary positions"),
        ("weights_orig_with_NaN.safetensors", "tensor norm.weight holds numbers that are not"),
    ],
)
def test_weights_that_are_refused_in_words(cases, refused, name, message):
    said = refused("weights", "info", cases / name)
    assert message in said and name in said and "\x1b" not in said


def test_spreadsheets_with_a_byte_order_mark_and_floats(cases):
    assert ferplus_files.read_votes(cases / "votes_bom.csv").votes.shape == (12, 8)
    for name in ("votes_bom.csv", "votes_floats.csv"):
        found = vote_files.read_votes(cases / name, 8)
        assert found.classes == CLASSES and found.counts.dtype == np.int64
    for name in ("fer2013_bom_first_column.csv", "fer2013_float_pixels.csv"):
        pixels = ferplus_files.read_pixels(cases / name)
        assert pixels.images.shape == (1, 48, 48) and pixels.split.tolist() == ["train"]


def test_other_published_layouts_of_the_same_data(cases, tmp_path, refused):
    pixels = ferplus_files.read_pixels(cases / "kaggle_train_without_usage.csv")
    assert pixels.split.tolist() == [""] and pixels.images.std() > 0
    said = refused("data", "ferplus", "--votes", cases / "cntk_label.csv")
    assert "label.csv of the CNTK layout" in said
    folder = tmp_path / "FER2013Test"
    folder.mkdir()
    shutil.copy(cases / "cntk_label.csv", folder / "label.csv")
    rows = (cases / "cntk_label.csv").read_text().splitlines()
    for row in rows:
        shutil.copy(cases / "ok.png", folder / row.split(",")[0])
    found = voted_pictures.find(tmp_path, None)
    assert len(found.pictures) == len(rows) and set(found.classes) == set(CLASSES)


@pytest.fixture(scope="module")
def folders(cases, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    with tarfile.open(cases / "face_folders.tar") as archive:
        archive.extractall(folder, filter="data")
    return folder


def test_labels_are_found_at_any_depth_and_hidden_folders_are_none(folders):
    for name, each in (("fer_root", 4), ("ipynb", 2)):
        votes = image_folders.read_set(folders / name, ferplus.SPEC).votes
        assert votes.sum(0).tolist() == [each] * 7 + [0]


def test_a_class_that_is_none_of_ours_is_mapped_or_left_out_on_request(folders):
    with pytest.raises(ValueError, match=r"Ahegao are not \(2 pictures\).*--folder-classes Ahegao"):
        image_folders.read_set(folders / "ahegao", ferplus.SPEC)
    skipped = {"Ahegao": image_folders.SKIP}
    found = image_folders.read_set(folders / "ahegao", ferplus.SPEC, skipped)
    assert len(found.images) == 10 and any("2 pictures skipped" in note for note in found.notes)


def test_arrays_of_pictures(cases):
    assert len(image_folders.read_set(cases / "images_N48_48_1.npz", ferplus.SPEC).images) == 4
    assert [item.row for item in sources.items([cases / "images_N48_48_1.npz"])] == [0, 1, 2, 3]
    for name in ("big.npz", "manyempty.npz"):
        with pytest.raises(ValueError, match=rf"{name}: neither .npz nor .npy, or damaged"):
            image_folders.read_set(cases / name, ferplus.SPEC)
        (item,) = sources.items([cases / name])
        with pytest.raises(ValueError, match="unreadable .npz"):
            item.load(48, None)


def test_pictures_that_are_none_or_darker_than_meant(cases):
    ((about, face),) = image_files.read(cases / "g8in16.png", 48)
    assert face.mean() > 100 and "read as 8-bit" in about["note"]
    with pytest.raises(ValueError, match="not an image"):
        image_files.read(cases / "eps_named.jpg", 48)


def predictions(cases, tmp_path, **files):
    for name, of in files.items():
        shutil.copy(cases / of, tmp_path / f"{name}{Path(of).suffix}")
    return [tmp_path]


def test_val_beside_test_is_valid(cases, tmp_path):
    given = predictions(cases, tmp_path, test="so_test.npy", val="so_val.npy")
    heard = []
    found = readers.load(given, cases / "so_votes.csv", heard.append)
    assert found.predictions["valid"].split == "valid"
    assert any("valid: probs" in event.text for event in heard if isinstance(event, Message))


def test_percentages_are_refused(cases, tmp_path, refused):
    given = predictions(cases, tmp_path, test="so_test_percent.npy")
    words = ("--votes", cases / "so_votes.csv", "--out", tmp_path / "out")
    said = refused("evaluate", "--predictions", *given, *words)
    assert "such as percentages" in said and not (tmp_path / "out").exists()


def test_classes_are_paired_by_name(cases, tmp_path):
    given = predictions(cases, tmp_path, test="so_test_names_classes.npz")
    found = readers.load(given, cases / "so_votes_other_order.csv").predictions["test"]
    same = readers.load(given, cases / "so_votes.csv").predictions["test"]
    np.testing.assert_array_equal(found.votes, same.votes)


@pytest.mark.parametrize(
    "name, said",
    [
        ("so_votes_all_splits_with_usage.csv", "40 of 80 rows, those whose usage is PrivateTest"),
        ("so_votes_probabilities.csv", "shares of votes, so that what needs counts"),
        ("so_votes_string_ids.csv", "paired with the predictions by row, since not both have ids"),
    ],
)
def test_votes_that_are_read_and_told(cases, tmp_path, name, said):
    given = predictions(cases, tmp_path, test="so_test.npy")
    heard = []
    test = readers.load(given, cases / name, heard.append).predictions["test"]
    assert any(said in event.text for event in heard if isinstance(event, Message))
    if test.votes is None:
        np.testing.assert_allclose(test.vote_shares.sum(1), 1, atol=1e-3)  # four digits of each
    else:
        same = readers.load(given, cases / "so_votes.csv").predictions["test"]
        np.testing.assert_array_equal(test.votes, same.votes)


def test_an_id_that_is_there_twice_is_refused(cases, tmp_path, refused):
    given = predictions(cases, tmp_path, test="so_test.npy")
    words = ("--votes", cases / "so_votes_duplicate_id.csv", "--out", tmp_path / "out")
    assert "id '3' is there twice" in refused("evaluate", "--predictions", *given, *words)


def test_no_case_is_forgotten(cases):
    """Every file of the folder is named here, README.md and all."""
    here = Path(__file__).read_text()
    assert [path.name for path in cases.iterdir() if path.name not in here] == []


def test_a_small_file_of_many_pixels_takes_them_from_the_budget(cases, monkeypatch):
    claimed = []

    class Told(PixelBudget):
        def claim(self, pixels):
            claimed.append(pixels)
            return super().claim(pixels)

    monkeypatch.setattr(image_files, "_IN_FLIGHT", Told())
    ((_, face),) = image_files.read(cases / "bomb12200_pal_trns.png", 48)
    assert face.shape == (48, 48) and sum(claimed) >= 12200**2 // 2


def test_a_set_without_labels_says_so(cases):
    found = image_folders.read_set(cases / "cats.npz", ferplus.SPEC)
    assert found.votes is None and found.notes == ("7 pictures with no labels",)
