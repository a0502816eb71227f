"""The rules of imports, read from the source: downward only, no circle, one owner for each outside
library, and a core that needs nothing but JAX and numpy."""

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
ABOVE = ("cli", "comparing", "comparing_methods", "workflow")
"""The application's modules, which no room imports."""
ROOMS = {
    "corruptions": (),
    "faces": ("corruptions",),
    "models": (),
    "texts": ("faces",),
    "ensemble": ("corruptions", "faces", "models"),
    "evaluation": (),
    "report": ("evaluation",),
    "serving": ("corruptions", "faces", "models", "ensemble", "evaluation", "report"),
    "commands": (
        *("corruptions", "faces", "models", "texts", "ensemble", "evaluation", "report"),
        "serving",
        *ABOVE,
    ),
}
"""Room -> the rooms it may import, beside the core."""
APPLICATION = (
    *("__init__.py", "__main__.py", "cli.py"),
    *("comparing.py", "comparing_methods.py", "workflow.py"),
)
PLAIN = (
    "events.py",
    "extras.py",
    "files/",
    "interruption.py",
    "judgments.py",
    "locking.py",
    "predictions.py",
    "ratings.py",
    "config/",
)
"""Parts of the core that must not even start JAX."""
CORE = [name for name in FILES if name not in APPLICATION and name.partition("/")[0] not in ROOMS]
"""Whatever is no room and not the application: a new module is part of it until it is one."""


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


def inside(room):
    return [name for name in FILES if name.startswith(f"{room}/")]


def users(module):
    """Files that import a module or anything under it."""
    return {
        name
        for name in FILES
        if any(i == module or i.startswith(f"{module}.") for i in imports(name))
    }


def room_of(module):
    """The room, or top-level module, that a full name of ours belongs to."""
    return module.split(".")[1] if "." in module else ""


def test_the_parser_sees_imports():
    assert {"orbax.checkpoint", "jax", "numpy"} <= imports("ensemble/checkpoint.py")
    assert "tensorflow_datasets" in imports("faces/ferplus_files.py")
    assert "ferjax.evaluation.shift" in imports("evaluation/evaluate.py")
    assert {"uncertainty", "metrics", "routing", "conformal", "votes", "losses"} <= {
        name.partition("/")[0].removesuffix(".py") for name in CORE
    }
    assert {name.partition("/")[0] for name in FILES if "/" in name} >= set(ROOMS)


@pytest.mark.parametrize("name", CORE)
def test_the_core_knows_only_jax_numpy_and_itself(name):
    allowed = {"numpy", "ferjax"} | (set() if name.startswith(PLAIN) else {"jax"})
    assert roots(name) - sys.stdlib_module_names <= allowed
    ours = {i for i in imports(name) if i.startswith("ferjax")}
    assert not {room_of(i) for i in ours} & {*ROOMS, *ABOVE}


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downward(room):
    assert inside(room)
    above = {*ROOMS, *ABOVE} - {room, *ROOMS[room]}
    for name in inside(room):
        upward = {i for i in imports(name) if room_of(i) in above}
        assert not upward, f"{name} imports {upward}"


def test_no_two_modules_import_each_other():
    """What is imported with a file, that is: outside functions and outside TYPE_CHECKING."""

    def loaded(name):
        for node in FILES[name].body:
            if isinstance(node, ast.ImportFrom) and node.module.startswith("ferjax"):
                for dotted in (f"{node.module}.{alias.name}" for alias in node.names):
                    yield dotted if _is_module(dotted) else node.module
            elif isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)

    modules = {_dotted(name): name for name in FILES if name != "__init__.py"}
    graph = {module: set(loaded(name)) & set(modules) for module, name in modules.items()}
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in graph[module] - {module}:
                visit(other, [*path, module])
            done.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize(
    "module, owners",
    [
        ("flax.linen", {"models/layers.py", "models/vit.py"}),
        ("flax.traverse_util", {"models/pretrained.py", "models/state_dicts.py"}),
        ("optax", {"ensemble/optimizer.py"}),
        ("orbax", {"ensemble/checkpoint.py"}),
        ("tensorflow_datasets", {"faces/ferplus_files.py"}),
        ("matplotlib", {"report/plots/_figure.py"}),
        ("PIL", {"faces/image_files.py", "faces/upright.py"}),
        ("cv2", {"faces/detection.py"}),
        ("tokenizers", {"models/sentences.py"}),
        ("http.client", {"texts/client.py"}),
        ("urllib.request", {"texts/client.py"}),
        ("http.server", {"texts/local_server.py"}),
    ],
)
def test_each_outside_thing_has_one_owner(module, owners):
    assert users(module) == owners


def test_only_commands_parse_command_lines():
    assert {name.partition("/")[0] for name in users("tyro")} == {"commands"}


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
    assert using == {"ensemble/layouts.py", "ensemble/parallel.py"}


@pytest.mark.parametrize("name", FILES)
def test_tensorflow_and_torch_are_never_imported_with_a_file(name):
    for node in FILES[name].body:
        modules = []
        if isinstance(node, ast.Import):
            modules = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module]
        found = {m.split(".")[0] for m in modules}
        assert not found & {"tensorflow", "torch", "transformers", "cv2"}
    assert "tensorflow" not in imports(name)


@pytest.mark.parametrize("name", FILES)
def test_one_assignment_a_line(name):
    for node in ast.walk(FILES[name]):
        parallel = (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        )
        assert not parallel, f"{name}, line {node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize("module", ["ferjax", "ferjax.cli"])
def test_importing_brings_in_nothing_heavy(module):
    heavy = ["torch", "tensorflow", "matplotlib", "tensorflow_datasets", "transformers", "orbax"]
    heavy += ["tokenizers"]
    heavy += ["cv2", "jax", "flax", "optax"]
    code = (
        f"import json, sys, {module}; print(json.dumps([m for m in {heavy} if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_what_the_root_offers_is_there():
    assert len(ferjax.__all__) > 30
    for name in ferjax.__all__:
        assert getattr(ferjax, name) is not None
    assert set(ferjax.__all__) <= set(dir(ferjax))
    with pytest.raises(AttributeError, match="module 'ferjax' has no attribute 'nothing'"):
        _ = ferjax.nothing


def test_types_see_what_the_root_offers():
    """The lazy names, and what type checkers are told, are the same."""
    root = FILES["__init__.py"]
    (block,) = [node for node in root.body if isinstance(node, ast.If)]
    named = {
        alias.asname or alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert named == set(ferjax.__all__)
