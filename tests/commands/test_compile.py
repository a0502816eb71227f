"""``ferjax train --dry-run --target``: what it prints, and when it fails."""

import jax
import pytest

from ferjax.cli import main
from ferjax.commands import compile as command
from ferjax.ensemble import ahead, target_names, targets
from ferjax.ensemble.ahead import CompiledProgram


def ferjax(*words):
    with pytest.raises(SystemExit) as stopped:
        main([str(word) for word in words])
    return stopped.value.code or 0


@pytest.fixture
def compiled(monkeypatch):
    """Lets the eight devices here stand for the target, and some figures for the compiler's."""

    def figures(**changed):
        step = CompiledProgram("training step", 2**30, 2**29, 2**29, 2**31, 1e12, {}, 0, True, 3.0)
        step = step._replace(**changed)
        monkeypatch.setattr(ahead, "compile_run", lambda *args, **more: iter([step]))

    monkeypatch.setattr(targets, "target_devices", lambda target: tuple(jax.devices()))
    monkeypatch.setattr(target_names, "find_spec", lambda module: module)
    monkeypatch.setattr(command, "memory_limit", lambda device: 4 * 2**30)
    figures()
    return figures


WORDS = ("train", "ferplus_dinov2_b14", "--dry-run", "--target", "v5e:2x4")


def test_it_fits(compiled, capsys):
    assert ferjax(*WORDS) == 0
    told = capsys.readouterr()
    assert "fits: 3.00 GiB of the 4.0 GiB" in told.out
    assert "collectives between members: none" in told.out
    assert "layout: 5 members on 8" in told.out and "; the next takes" in told.out
    assert "times the compiler's figure" in told.out
    assert "28,709 training" in told.err and "compiled for random weights" in told.err


def test_it_does_not_fit_and_says_what_to_change(compiled, capsys):
    compiled(temporaries=2**35)
    assert ferjax(*WORDS) == 1
    told = capsys.readouterr().out
    assert "does not fit: 33.00 GiB of the 4.0 GiB" in told
    assert "--train.accumulate" in told or "no single change is enough" in told


def test_members_that_meet_and_steps_that_compile_anew_fail(compiled, capsys):
    compiled(between_members=2)
    assert ferjax(*WORDS) == 1
    assert "collectives between members: 2" in capsys.readouterr().out
    compiled(steady=False)
    assert ferjax(*WORDS) == 1
    assert "every step would compile" in capsys.readouterr().out


def test_a_target_needs_a_dry_run_and_a_run_needs_a_folder(capsys):
    assert ferjax("train", "ferplus_scratch", "--target", "h100:8") == 2
    assert "--target goes with --dry-run" in capsys.readouterr().err
    assert ferjax("train", "ferplus_scratch") == 2
    assert "--out FOLDER is missing" in capsys.readouterr().err


def test_an_unknown_target_is_refused(capsys):
    assert ferjax("train", "ferplus_scratch", "--dry-run", "--target", "h101:8") == 2
    assert "unknown target 'h101:8'" in capsys.readouterr().err
