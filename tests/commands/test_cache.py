"""Where compiled programs are kept, and that they are used."""

import os
import subprocess
import sys

from ferjax.commands.cache import use_compilation_cache

FOLDER = "JAX_COMPILATION_CACHE_DIR"


def test_the_users_cache_folder_is_the_default():
    environ = {"XDG_CACHE_HOME": "/caches"}
    assert use_compilation_cache(["train"], environ) == ["train"]
    assert environ[FOLDER] == "/caches/ferjax"
    environ = {"XDG_CACHE_HOME": "/caches", "FERJAX_CACHE": "/mine"}
    use_compilation_cache([], environ)
    assert environ[FOLDER] == "/mine"


def test_jaxs_own_setting_stands_and_no_cache_means_none():
    environ = {FOLDER: "/given", "FERJAX_CACHE": "/mine"}
    use_compilation_cache([], environ)
    assert environ[FOLDER] == "/given"
    assert use_compilation_cache(["evaluate", "--no-cache", "RUN"], environ) == ["evaluate", "RUN"]
    assert FOLDER not in environ


def test_a_command_leaves_its_programs_there(tmp_path):
    own = (FOLDER, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    environ = {k: v for k, v in os.environ.items() if k not in own}
    environ |= {"FERJAX_CACHE": str(tmp_path / "cache"), "JAX_PLATFORMS": "cpu"}
    code = "import sys; from ferjax.cli import main; main(sys.argv[1:])"
    words = ["corruptions", "--suite", "paper", "--size", "32", "--sheet", str(tmp_path / "a.png")]
    command = [sys.executable, "-c", code, *words]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    kept = {path.name for path in (tmp_path / "cache").iterdir()}
    assert kept
    subprocess.run([*command, "--no-cache"], env=environ, check=True, capture_output=True)
    subprocess.run(command, env=environ, check=True, capture_output=True)
    again = {path.name for path in (tmp_path / "cache").iterdir() if path.name.endswith("-cache")}
    assert again <= kept
