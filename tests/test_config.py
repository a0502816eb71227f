"""Configurations: the same through JSON, strict about keys and values; shipped files build."""

import dataclasses
import importlib.metadata
import json
from pathlib import Path, PurePosixPath

import pytest

from ferjax.config import (
    CollectConfig,
    Config,
    DataConfig,
    EacConfig,
    EvaluateConfig,
    EvidentialConfig,
    ModelConfig,
    ScnConfig,
    TrainConfig,
    _shipped,
    dinov2,
    load_collect_config,
    load_config,
)

ARMS = ("ferplus_dinov2_b14", "ferplus_dinov2_b14_hard")
CONFIGS = Path(__file__).parents[1] / "configs"
COLLECTIONS = sorted(CONFIGS.glob("judge_*.py"))
SHIPPED = sorted({*CONFIGS.glob("*.py")} - {*COLLECTIONS})


@pytest.mark.parametrize(
    "config",
    [
        Config(),
        Config(
            DataConfig("ferplus", "somewhere", policy="majority", deduplicate=True),
            dinov2("g14", registers=4, trainable_blocks=2),
            TrainConfig(seeds=(7,), method="labels"),
            EvaluateConfig(corruptions=(), severities=(5,)),
        ),
        Config(
            model=ModelConfig(dropout=0.2, dropout_at="blocks"),
            train=TrainConfig(
                method="scn",
                scn=ScnConfig(margin=0.1, relabel_epoch=2),
                eac=EacConfig(weight=1.0),
                evidential=EvidentialConfig(evidence="exp", risk="log"),
            ),
            evaluate=EvaluateConfig(passes=7),
        ),
    ],
)
def test_json_and_back(config):
    assert Config.from_json(config.to_json()) == config


@pytest.mark.parametrize("labels, method", [("soft", "votes"), ("hard", "labels")])
def test_the_labels_of_version_0_1_0_are_methods(labels, method):
    """In a run's JSON, in a Python file, and in one that changes another's configuration."""
    text = json.dumps({"train": {"labels": labels}})
    assert Config.from_json(text).train.method == method
    assert TrainConfig(labels=labels).method == method
    for before in ("votes", "labels"):
        changed = dataclasses.replace(TrainConfig(method=before), labels=labels)
        assert changed == TrainConfig(method=method)
    # And they leave no trace: what is written is the method alone, and a later change keeps it.
    assert "labels" not in json.loads(Config(train=TrainConfig(labels=labels)).to_json())["train"]
    assert dataclasses.replace(TrainConfig(labels=labels), epochs=9).method == method


def test_the_hard_label_arm_trains_towards_labels():
    arms = {name: load_config(SHIPPED[0].with_name(f"{name}.py")) for name in ARMS}
    assert [arms[name].train.method for name in ARMS] == ["votes", "labels"]
    soft, hard = (dataclasses.replace(arm.train, method="votes") for arm in arms.values())
    assert soft == hard


def test_familiar_faces_of_version_0_1_0_are_density_faces():
    text = '{"evaluate": {"familiar_faces": 77}}'
    assert Config.from_json(text).evaluate.density_faces == 77
    with pytest.raises(ValueError, match="evaluate.density_faces is given twice"):
        Config.from_json('{"evaluate": {"familiar_faces": 77, "density_faces": 78}}')


@pytest.mark.parametrize(
    "mlp, dim, width", [("gelu", 384, 1536), ("swiglu", 1536, 4096), ("swiglu", 192, 512)]
)
def test_a_gated_mlp_is_as_wide_as_dinov2s(mlp, dim, width):
    assert ModelConfig(mlp=mlp, dim=dim, heads=1).mlp_width == width


def test_part_of_a_json_is_the_default_for_the_rest():
    assert Config.from_json('{"train": {"seeds": [3, 4]}}') == Config(
        train=TrainConfig(seeds=(3, 4))
    )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_build_and_say_their_command(path):
    assert isinstance(load_config(path), Config)
    assert f"ferjax train configs/{path.name} --out" in path.read_text().split('"""')[1]


@pytest.mark.parametrize("path", COLLECTIONS, ids=lambda path: path.stem)
def test_shipped_collections_build_and_say_their_command(path):
    assert isinstance(load_collect_config(path), CollectConfig)
    assert f"ferjax judge collect configs/{path.name}" in path.read_text().split('"""')[1]
    with pytest.raises(ValueError, match="found CollectConfig"):
        load_config(path)


def test_there_are_shipped_configurations():
    assert SHIPPED and COLLECTIONS


@pytest.mark.parametrize(
    "values, message",
    [
        ({"labels": ["joy", "Joy"]}, "more than once, apart from case"),
        ({"labels": ["joy"]}, "two or more"),
        ({"labels": "joy"}, "labels must be names, a list"),
        ({"none_label": "none"}, "none_label 'none' is not one of the labels"),
        ({"synonyms": {"happy": "bliss"}}, "'happy' stands for 'bliss', no label"),
        ({"synonyms": {"JOY": "anger"}}, "'JOY' is a label itself"),
        ({"temperatures": [-1]}, "temperatures must be 0 or more"),
        ({"temperatures": [1, 1]}, "holds one twice"),
        ({"samples": 0}, "samples must be at least 1, got 0"),
        ({"top_p": 0}, "top_p must be in"),
        ({"ask": "letters"}, "collect.ask must be one of samples, shares, logprobs"),
        ({"ask": "logprobs"}, "it needs kind single"),
        ({"ask": "shares", "kind": "real"}, "asked for as samples"),
        ({"smaples": 3}, "did you mean samples?"),
    ],
)
def test_wrong_collections_are_refused(tmp_path, values, message):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"texts": "t.csv", "labels": ["joy", "anger"], **values}))
    with pytest.raises(ValueError, match=message) as refused:
        load_collect_config(path)
    assert "c.json" in str(refused.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"train": {"epohcs": 3}}', "unknown key train.epohcs; did you mean train.epochs?"),
        ('{"trian": {}}', "unknown key trian; did you mean train?"),
        ('{"model": {"xyzzy": 1}}', "unknown key model.xyzzy; known keys: image_size, "),
        ('{"model": 3}', "model must be an object, got 3"),
        ("[]", "a configuration must be an object"),
        ("{", "not a JSON configuration"),
    ],
)
def test_wrong_json_is_refused(text, message):
    with pytest.raises(ValueError) as error:
        Config.from_json(text)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "part, values",
    [
        (DataConfig, {"name": "affectnet"}),
        (DataConfig, {"policy": "all"}),
        (DataConfig, {"synthetic_faces": 10}),
        (ModelConfig, {"image_size": 50}),
        (ModelConfig, {"heads": 5}),
        (ModelConfig, {"depth": 0}),
        (ModelConfig, {"registers": -1}),
        (ModelConfig, {"drop_path": 1.0}),
        (ModelConfig, {"trainable_blocks": 3}),
        (ModelConfig, {"mlp": "relu"}),
        (ModelConfig, {"head": "mean"}),
        (ModelConfig, {"dtype": "float16"}),
        (TrainConfig, {"seeds": ()}),
        (TrainConfig, {"seeds": (1, 2, 1)}),
        (TrainConfig, {"seeds": (-1,)}),
        (TrainConfig, {"seeds": (2**32,)}),
        (TrainConfig, {"method": "vots"}),
        (TrainConfig, {"labels": "sfot"}),
        (TrainConfig, {"epochs": 0}),
        (EvidentialConfig, {"evidence": "tanh"}),
        (EvidentialConfig, {"kl_weight": -1.0}),
        (EvidentialConfig, {"annealing_epochs": 0}),
        (ScnConfig, {"share": 1.0}),
        (ScnConfig, {"relabel_epoch": 0}),
        (ScnConfig, {"erase": 1.5}),
        (EacConfig, {"weight": -1.0}),
        (EacConfig, {"target": "q"}),
        (ModelConfig, {"dropout": 1.0}),
        (EvaluateConfig, {"passes": 0}),
        (TrainConfig, {"learning_rate": 0.0}),
        (TrainConfig, {"warmup_epochs": -1}),
        (EvaluateConfig, {"severities": (0,)}),
        (EvaluateConfig, {"resamples": 1}),
        (EvaluateConfig, {"false_rejection": 0.0}),
        (EvaluateConfig, {"defer_share": 1.0}),
    ],
)
def test_wrong_values_are_refused_with_the_field_and_the_value(part, values):
    name, value = list(values.items())[-1]
    with pytest.raises(ValueError, match=rf"\.{name}\b") as error:
        part(**values)
    if value != ():
        assert str(value[0] if isinstance(value, tuple) else value) in str(error.value)


def test_ferplus_needs_a_folder():
    with pytest.raises(ValueError, match="data.path is empty"):
        DataConfig(name="ferplus")


def test_image_sizes_that_would_fit_are_named():
    with pytest.raises(ValueError, match="the nearest that are: 224 or 238"):
        dinov2("b14", 230)


def test_dinov2_sizes():
    assert {
        size: (dinov2(size).dim, dinov2(size).depth, dinov2(size).heads)
        for size in ("s14", "b14", "l14", "g14")
    } == {"s14": (384, 12, 6), "b14": (768, 12, 12), "l14": (1024, 24, 16), "g14": (1536, 40, 24)}
    assert dinov2("g14").mlp == "swiglu"
    with pytest.raises(ValueError, match="unknown DINOv2 size 'x14'; known: s14"):
        dinov2("x14")


@pytest.mark.parametrize(
    "source, message",
    [
        (
            "from ferjax.config import Config, TrainConfig\n"
            "config = Config(train=TrainConfig(epohcs=3))",
            "did you mean epochs?",
        ),
        (
            "from ferjax.config import Config\nconfg = Config()",
            "must define `config = Config(...)`",
        ),
        ("config = {'train': {}}", "found dict"),
        ("from ferjax.config import TrainConfig\nTrainConfig(seeds=())", "train.seeds is empty"),
    ],
)
def test_wrong_python_configurations_are_refused_by_name(tmp_path, source, message):
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(ValueError) as error:
        load_config(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_wrong_json_file_is_refused_by_name(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"train": {"epochs": "three"}}')
    with pytest.raises(ValueError, match=r"mine\.json"):
        load_config(path)
    with pytest.raises(FileNotFoundError, match="no configuration file"):
        load_config(tmp_path / "other.py")


def test_a_run_s_json_is_a_configuration(tmp_path):
    config = dataclasses.replace(Config(), train=TrainConfig(epochs=2))
    (tmp_path / "config.json").write_text(config.to_json())
    assert load_config(tmp_path / "config.json") == config
    assert json.loads(config.to_json())["train"]["epochs"] == 2


def test_configurations_come_along_by_name(tmp_path, monkeypatch):
    """From the clone, and from an installed wheel where there is no clone."""
    assert load_config("ferplus_scratch").data.name == "ferplus"
    with pytest.raises(FileNotFoundError, match=r"those that come with ferjax: .*ferplus_scratch"):
        load_config("ferplus_scatch")
    installed = tmp_path / "share" / "ferjax" / "configs" / "mine.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("from ferjax.config import Config\nconfig = Config()\n")

    class File(PurePosixPath):
        def locate(self):
            return tmp_path / self

    names = ("share/ferjax/configs/mine.py", "ferjax/config/_run.py")
    monkeypatch.setattr(_shipped, "__file__", str(tmp_path / "ferjax" / "config" / "_shipped.py"))
    monkeypatch.setattr(importlib.metadata, "files", lambda name: [File(n) for n in names])
    assert _shipped.shipped_configs() == {"mine": installed}
    assert load_config("mine").train.epochs == 8
