"""The house rules of imports, read from the source: downward only, and one owner for each outside
thing."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ferjax

PACKAGE = Path(ferjax.__file__).parent
FILES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
}
APPLICATION = {"__init__.py", "__main__.py", "cli.py", "config.py", "predictions.py", "files.py"}
CORE = sorted(
    {name for name in FILES if "/" not in name} - APPLICATION
    | {name for name in FILES if name.startswith("metrics/")}
)


def _is_module(dotted):
    path = PACKAGE.parent.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def imports(name):
    """Full names of what a file imports, anywhere in it; our own by module, not by the function
    taken from it."""
    found = set()
    for node in ast.walk(FILES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import; the rules here read absolute ones"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            own = node.module.split(".")[0] == "ferjax"
            found |= {dotted for dotted in inside if own and _is_module(dotted)}
            if not own or not all(_is_module(dotted) for dotted in inside):
                found.add(node.module)
    return found


def _dotted(name):
    return "ferjax." + name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def roots(name):
    return {module.split(".")[0] for module in imports(name)}


def inside(wing):
    return [name for name in FILES if name.startswith(f"{wing}/")]


def users(module):
    """Files that import a module or anything under it."""
    return {
        name
        for name in FILES
        if any(i == module or i.startswith(f"{module}.") for i in imports(name))
    }


def test_the_parser_sees_imports():
    assert {"orbax.checkpoint", "jax", "numpy"} <= imports("ensemble/checkpoint.py")
    assert "tensorflow_datasets" in imports("faces/ferplus.py")
    assert "ferjax.evaluation.shift" in imports("evaluation/validation.py")
    assert len(CORE) >= 4


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_only_jax_numpy_and_itself(name):
    assert roots(name) - sys.stdlib_module_names <= {"jax", "numpy", "ferjax"}
    assert {i for i in imports(name) if i.startswith("ferjax")} <= {
        _dotted(own) for own in CORE
    } | {"ferjax.metrics"}


def test_config_and_predictions_start_nothing():
    assert roots("config.py") <= sys.stdlib_module_names
    assert roots("predictions.py") <= sys.stdlib_module_names | {"numpy"}


@pytest.mark.parametrize(
    "wing, above",
    [
        ("evaluation", ("report", "ensemble", "models", "serving", "commands", "cli")),
        ("report", ("ensemble", "models", "serving", "commands", "cli")),
        ("ensemble", ("evaluation", "report", "serving", "commands", "cli")),
        ("models", ("ensemble", "evaluation", "report", "serving", "commands", "cli")),
        ("faces", ("models", "ensemble", "evaluation", "report", "serving", "commands", "cli")),
        (
            "corruptions",
            ("faces", "models", "ensemble", "evaluation", "report", "serving", "commands", "cli"),
        ),
        (
            "metrics",
            (
                "corruptions",
                "faces",
                "models",
                "ensemble",
                "evaluation",
                "report",
                "serving",
                "commands",
                "cli",
            ),
        ),
        ("serving", ("commands", "cli")),
        ("commands", ("cli",)),
    ],
)
def test_imports_run_downward(wing, above):
    assert inside(wing)
    for name in inside(wing):
        upward = {
            i
            for i in imports(name)
            if any(i == f"ferjax.{a}" or i.startswith(f"ferjax.{a}.") for a in above)
        }
        assert not upward, f"{name} imports {upward}"


@pytest.mark.parametrize(
    "module, owners",
    [
        ("flax.linen", {"models/vit.py"}),
        ("flax", {"models/vit.py", "models/pretrained.py"}),
        ("optax", {"ensemble/members.py"}),
        ("orbax", {"ensemble/checkpoint.py"}),
        ("tensorflow_datasets", {"faces/ferplus.py"}),
        ("matplotlib", {"report/plots.py"}),
        (
            "tyro",
            {"cli.py", *inside("commands")}
            - {"commands/__init__.py", "commands/console.py", "commands/memory.py"},
        ),
        ("PIL", {"faces/image_files.py"}),
        ("cv2", {"serving/detection.py"}),
    ],
)
def test_each_outside_thing_has_one_owner(module, owners):
    assert users(module) == owners


def test_only_parallel_names_devices():
    named = {"devices", "local_devices", "device_count", "local_device_count", "pmap"}
    using = {
        name
        for name, tree in FILES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in named
        and isinstance(node.value, ast.Name)
        and node.value.id == "jax"
    }
    assert using == {"ensemble/parallel.py"}


@pytest.mark.parametrize("name", FILES)
def test_tensorflow_and_torch_are_never_imported_with_a_file(name):
    for node in FILES[name].body:
        modules = (
            [a.name for a in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        assert not {m.split(".")[0] for m in modules} & {
            "tensorflow",
            "torch",
            "transformers",
            "cv2",
        }
    assert "tensorflow" not in imports(name)


@pytest.mark.parametrize("module", ["ferjax", "ferjax.cli"])
def test_importing_brings_in_nothing_heavy(module):
    heavy = [
        "torch",
        "tensorflow",
        "matplotlib",
        "tensorflow_datasets",
        "transformers",
        "orbax",
        "cv2",
    ]
    code = (
        f"import json, sys, {module}; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(printed) == []


def test_what_the_root_offers_is_there():
    assert ferjax.__all__
    for name in ferjax.__all__:
        assert getattr(ferjax, name) is not None
