"""``ferjax evaluate`` of several methods: which options go together, before anything is read."""

from pathlib import Path

import pytest

from ferjax.commands.evaluate import Evaluate

RUN = Path("run")
OTHER = Path("other")
NAMED = Path("theirs=folder")


@pytest.mark.parametrize(
    "given, several",
    [
        ({"runs": (RUN,)}, False),
        ({"runs": (RUN, OTHER)}, True),
        ({"runs": (RUN,), "predictions": (NAMED,)}, True),
        ({"predictions": (NAMED, Path("ours=b.npz"))}, True),
        ({"predictions": (Path("a.npz"), Path("b.npz"))}, False),
    ],
)
def test_what_is_compared(given, several):
    assert Evaluate(**given)._several == several


def test_a_file_whose_name_has_an_equals_sign_is_a_file(tmp_path):
    file = tmp_path / "a=b.npz"
    file.touch()
    assert Evaluate(predictions=(file,))._methods() == {}


@pytest.mark.parametrize(
    "given, message",
    [
        ({"runs": (RUN, OTHER)}, "needs --out"),
        ({"runs": (RUN, OTHER), "out": RUN, "ood": ("a=b",)}, "--ood is no option of a comparison"),
        (
            {"runs": (RUN, OTHER), "out": RUN, "folder_classes": ("a=b",)},
            "--folder-classes is no option of a comparison",
        ),
        (
            {"runs": (RUN, OTHER), "out": RUN, "votes": RUN},
            "--votes goes with --predictions; runs bring their own",
        ),
        ({"runs": (RUN,), "baseline": "run"}, "--baseline needs several methods"),
        ({"predictions": (NAMED, RUN), "out": RUN}, "got both: theirs=folder, run"),
        ({}, "either a run folder or --predictions"),
        ({"runs": (RUN,), "predictions": (RUN,)}, "either a run folder or --predictions"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Evaluate(**given)._check()
