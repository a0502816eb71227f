"""Weights as people have them: wrapped, partial, of relatives; read whole or named and refused."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from ferjax.config import ModelConfig
from ferjax.models import pretrained, state_dicts
from ferjax.models.naming import NAMINGS, tensors

CONFIG = ModelConfig(image_size=56, patch_size=14, dim=16, depth=1, heads=2)


def state(naming="original", positions=17):
    rng = np.random.default_rng(0)
    names = tensors(NAMINGS[naming], CONFIG)
    made = {name: rng.normal(size=shape).astype(np.float32) for name, (shape, _) in names.items()}
    made[NAMINGS[naming].positions] = rng.normal(size=(1, positions, 16)).astype(np.float32)
    return {**made, "mask_token": np.zeros((1, 16), np.float32)} if naming == "original" else made


def described(tmp_path, tensors_of, **about):
    save_file(tensors_of, tmp_path / "w.safetensors", **about)
    return state_dicts.describe(pretrained.read_state(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("prefix", ["module.backbone.", "model.dinov2.", "a.b.c.", "_orig_mod."])
@pytest.mark.parametrize("naming", ["original", "hugging face"])
def test_any_prefix_is_stripped(tmp_path, prefix, naming):
    wrapped = {f"{prefix}{name}": value for name, value in state(naming).items()}
    found = described(tmp_path, wrapped)
    assert (found.naming, found.grid, found.left_out) == (naming, 4, ())


def test_what_is_no_part_of_the_network_is_left_out_and_told(tmp_path):
    wrapped = {f"backbone.{name}": value for name, value in state().items()}
    wrapped["dino_head.mlp.0.weight"] = np.zeros((3, 3), np.float32)
    heard = []
    save_file(wrapped, tmp_path / "w.safetensors")
    pretrained.load_pretrained(tmp_path / "w.safetensors", CONFIG, heard.append)
    assert "1 tensors left out (dino_head.mlp.0.weight)" in heard[0].text


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: {**s, "norm.weight": s["norm.weight"] * np.nan}, "tensor norm.weight holds num"),
        (lambda s: state(positions=16), "15 patch positions beside that of CLS are no square"),
        (lambda s: {**s, "blocks.0.attn.lora_A.weight": np.ones(3)}, "holds LoRA adapters"),
        (
            lambda s: {f"{side}.{n}": v for side in "ab" for n, v in s.items()},
            "holds several networks: a., b.",
        ),
        (
            lambda s: {n.replace("norm.weight", "fc_norm.weight"): v for n, v in s.items()},
            "averages its tokens before the norm",
        ),
        (
            lambda s: {
                "embeddings.cls_token": np.ones((1, 1, 8)),
                "embeddings.patch_embeddings.weight": np.ones((8, 3, 4, 4)),
            },
            "a DINOv3",
        ),
    ],
)
def test_relatives_and_damaged_ones_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        described(tmp_path, {n: np.ascontiguousarray(v) for n, v in change(state()).items()})


@pytest.mark.parametrize("shard", ["../w", "/etc/passwd", "a/b", "..", ""])
def test_an_index_names_files_in_its_folder_alone(tmp_path, shard):
    index = {"weight_map": {"cls_token": shard}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"index\.json names files outside its folder"):
        pretrained.read_state(tmp_path)


@pytest.mark.parametrize(
    "text", ["5", "null", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}']
)
def test_an_index_of_other_types_is_refused(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match=r"index\.json: expected weight_map"):
        pretrained.read_state(tmp_path)


def test_numbers_that_need_a_scale_are_refused_by_tensor(tmp_path):
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(2)
    (tmp_path / "w.safetensors").write_bytes(data)
    with pytest.raises(ValueError, match="tensor w is of type F8_E4M3; expected one of"):
        pretrained.read_state(tmp_path / "w.safetensors")


def test_a_shallower_network_takes_the_first_blocks_and_a_deeper_one_is_refused(tmp_path):
    two = dataclasses.replace(CONFIG, depth=2)
    names = tensors(NAMINGS["original"], two)
    rng = np.random.default_rng(1)
    deep = {**state(), **{n: rng.normal(size=s).astype("f4") for n, (s, _) in names.items()}}
    save_file(deep, tmp_path / "w.safetensors")
    heard = []
    whole = pretrained.load_pretrained(tmp_path / "w.safetensors", two)
    first = pretrained.load_pretrained(tmp_path / "w.safetensors", CONFIG, heard.append)
    assert "the first 1 of its 2 blocks are taken" in heard[0].text
    assert set(whole) - set(first) == {"block_1"}
    np.testing.assert_array_equal(
        first["block_0"]["mlp"]["up"]["kernel"], whole["block_0"]["mlp"]["up"]["kernel"]
    )
    three = dataclasses.replace(CONFIG, depth=3)
    with pytest.raises(ValueError, match="have depth 2, the model has model.depth 3"):
        pretrained.load_pretrained(tmp_path / "w.safetensors", three)
