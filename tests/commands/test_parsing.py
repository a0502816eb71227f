"""Command lines: one screen of help, any order of words, errors that can be copied from."""

import dataclasses
import importlib
import subprocess
import sys
import typing

import pytest

import ferjax
from ferjax.cli import COMMANDS, GROUPS, main
from ferjax.commands.parsing import UsageError, field_help, parse
from ferjax.commands.word_order import dataclasses_in, positionals_first


def command(name):
    module, _, class_name = COMMANDS[name].at.partition(":")
    return getattr(importlib.import_module(f"ferjax.commands.{module}"), class_name)


def said(capsys, *words):
    """Exit status, standard output and standard error of a command line."""
    with pytest.raises(SystemExit) as exit:
        main([str(word) for word in words])
    streams = capsys.readouterr()
    return exit.value.code or 0, streams.out, streams.err


def test_the_help_is_one_screen_with_a_line_for_every_command(capsys):
    status, out, err = said(capsys, "--help")
    lines = out.splitlines()
    assert status == 0 and not err
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    named = [line.split()[0] for line in lines if line.startswith("  ")]
    assert named[0] == "quickstart"
    assert set(named) == {name.split()[0] for name in COMMANDS}


def test_no_word_at_all_prints_the_help_as_an_error(capsys):
    status, out, _ = said(capsys)
    assert status == 2 and "quickstart" in out


def test_the_version(capsys):
    status, out, _ = said(capsys, "--version")
    assert status == 0 and out.startswith(f"ferjax {ferjax.__version__} ")


def test_python_m_ferjax():
    done = subprocess.run(
        [sys.executable, "-m", "ferjax", "--version"], capture_output=True, text=True, check=True
    )
    assert ferjax.__version__ in done.stdout


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(capsys, group):
    status, out, _ = said(capsys, group, "--help")
    assert status == 0
    for name in COMMANDS:
        if name.startswith(f"{group} "):
            assert f"  {name.split()[1]}" in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_field_is_documented_and_named(capsys, name):
    """In the help too, with a name that says what it is."""
    todo = [command(name)]
    while todo:
        cls = todo.pop()
        texts = field_help(cls)
        hints = typing.get_type_hints(cls)
        for field in dataclasses.fields(cls):
            inner = dataclasses_in(hints[field.name])
            todo += inner
            assert inner or texts.get(field.name), f"{cls.__name__}.{field.name}"
    status, out, _ = said(capsys, *name.split(), "--help")
    assert status == 0 and out.startswith(f"usage: ferjax {name} ")
    for vague in (" PATH", " STR", "{None}"):
        assert vague not in out.split("data options")[0]


@pytest.mark.parametrize(
    "words, hint",
    [
        (("trian",), "did you mean train?"),
        (("members", "slect"), "did you mean select?"),
        (("train", "x.py", "--train.epohcs", "3"), "--train.epochs"),
        (("evaluate", "--ressamples", "3"), "--resamples"),
        (("train", "--out", "x"), "CONFIG is missing"),
        (("route",), "PICTURES... is missing"),
        (("export", "run", "--out", "x", "--platforms", "gpu"), "cpu"),
        (("train", "synthetic_tiny"), "--out"),
        (("train", "synthetic_tiny", "--out", "x", "--train.epochs", "ten"), "--train.epochs"),
        (("train", "no_such", "--out", "x"), "ferplus_scratch"),
    ],
)
def test_a_wrong_command_line_is_told_without_boxes(capsys, words, hint):
    status, _, err = said(capsys, *words)
    assert status == 2
    assert err.startswith("error: ") and hint in err
    assert not set(err) & set("│╭╰─")


def test_errors_are_not_wrapped(capsys):
    """A command or a path in an error can be copied, however long it is and however narrow the
    terminal."""
    path = "/".join(["a" * 100] * 3)
    _, _, err = said(capsys, "evaluate", path)
    assert f"{path} is not a run" in err


def test_a_refused_configuration_speaks_the_users_names(capsys):
    _, _, err = said(capsys, "train", "synthetic_tiny", "--out", "x", "--train.batch-size", "0")
    assert err.startswith("error: train.batch_size must be at least 1, got 0")
    assert "tyro" not in err


# A positional word, and options of every kind with the words they take.
IN_ANY_ORDER = [
    ("train", ["synthetic_tiny"], [["--out", "r"], ["--train.seeds", "1", "2"], ["--resume"]]),
    ("train", ["synthetic_tiny"], [["--out=r"], ["--evaluate.corruptions", "gnoise", "blur"]]),
    ("evaluate", ["./run"], [["--ood", "a=x", "b=y"], ["--seed", "3"], ["--no-show-faces"]]),
    ("evaluate", ["./run"], [["--corruptions", "gnoise", "blur"], ["--out", "there"]]),
    ("route", ["run", "a.png", "b.png"], [["--out", "x"], ["--faces"], ["--wall", "w.png"]]),
    ("route", ["run", "-"], [["--format", "csv"], ["--batch_size", "3"]]),
    ("export", ["./run"], [["--out", "f"], ["--platforms", "cpu", "tpu"]]),
    ("watch", ["run"], [["--follow"], ["--plot", "p.png"]]),
    ("judge collect", ["./c.py"], [["--model", "a", "b"], ["--base-url", "u"], ["--out", "x"]]),
    ("judge parse", ["run"], [["--out", "x.npz"]]),
    ("judge predict", ["run"], [["--texts", "t.csv"], ["--out", "x.npz"]]),
    ("distil", ["run"], [["--out", "x"], ["--seed", "7"], ["--epochs", "2"], ["--resume"]]),
    ("judge compare", ["panel.csv", "a.npz", "b.npz"], [["--out", "x"]]),
    ("judge route", ["panel.csv", "a.npz"], [["--out", "x"], ["--max-error", "0.3"]]),
    ("judge describe", ["s.csv"], []),
    ("judge calibrate", ["panel.csv", "a.npz"], [["--out", "x"]]),
    ("judge route", ["panel.csv", "a.npz"], [["--out", "x"], ["--classes", "joy", "fear"]]),
    ("judge describe", ["panel.csv"], []),
    ("members list", ["run"], []),
    ("members select", ["run"], [["--members", "0", "2"], ["--out", "x"]]),
    ("members merge", ["a", "b", "c"], [["--out", "x"]]),
    ("members add", ["run"], [["--seeds", "7", "8"], ["--out", "x"]]),
    ("weights info", ["w.safetensors"], []),
    ("weights export", ["run"], [["--out", "x"], ["--member", "1"]]),
    ("corruptions", ["i.png"], [["--sheet", "s.png"], ["--suite", "paper"], ["--size", "64"]]),
    ("data ferplus", [], [["--votes", "v.csv"], ["--fer2013", "f.csv"], ["--out", "d"]]),
    ("data folder", ["photos"], [["--out", "d"], ["--side", "48"], ["--names", "1=a", "2=b"]]),
]


@pytest.mark.parametrize("name, positional, options", IN_ANY_ORDER)
def test_words_mean_the_same_in_any_order(name, positional, options):
    def parsed(words):
        return parse(command(name), words, f"ferjax {name}")

    flat = [word for option in options for word in option]
    expected = parsed([*positional, *flat])
    assert parsed([*flat, *positional]) == expected
    for i in range(len(options)):
        before = [word for option in options[i:] + options[:i] for word in option]
        assert parsed([*before, *positional]) == expected
        after = [word for option in options[:i] for word in option]
        rest = [word for option in options[i:] for word in option]
        assert parsed([*after, *positional, *rest]) == expected


def test_options_first_train_on_the_configuration_that_is_named(tmp_path):
    """They once trained on the defaults, whatever file was named."""
    config = tmp_path / "c.json"
    config.write_text('{"train": {"epochs": 3, "seeds": [5]}, "data": {"synthetic_faces": 60}}')
    train = parse(command("train"), ["--out", str(tmp_path / "r"), str(config)], "ferjax train")
    assert train.config.train.epochs == 3 and train.config.data.synthetic_faces == 60
    assert train.config_file == str(config)


def test_a_folder_ends_a_list_of_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    words = ["--corruptions", "gnoise", "run"]
    assert positionals_first(command("evaluate"), words) == ["run", "--corruptions", "gnoise"]


def test_what_follows_two_dashes_is_positional():
    words = ["--out", "x", "--", "run", "--odd.png"]
    assert positionals_first(command("route"), words) == ["run", "--odd.png", "--out", "x"]


def test_quickstart_has_no_training_flags(capsys):
    _, out, _ = said(capsys, "quickstart", "--help")
    assert "--out" in out and "--train" not in out and len(out.splitlines()) < 24
    with pytest.raises(UsageError, match="--train.epochs"):
        parse(command("quickstart"), ["--train.epochs", "1"], "ferjax quickstart")
