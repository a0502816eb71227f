"""One strict session: eight fake CPU devices, no silent promotion of ranks, and one tiny run shared
by every module."""

import atexit
import dataclasses
import gc
import importlib.metadata
import os
import shutil
import tempfile
import time
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

# Programs here are small: what takes long is compiling them. What compares bits or reads compiled
# text is repeated by .ci/run with optimisations.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
if (
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
    and importlib.metadata.version("jaxlib").startswith("0.10.")  # others end at unknown flags
):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"  # half the time to compile

if (
    "JAX_COMPILATION_CACHE_DIR" not in os.environ
):  # workers and child processes share what one of them has compiled
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="ferjax-compiled-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax
import numpy as np
import pytest
import scipy.special

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.predictions import Predictions

jax.config.update("jax_numpy_rank_promotion", "raise")

TINY = Config(
    data=DataConfig(synthetic_faces=200),
    model=ModelConfig(patch_size=16, dim=16, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2, 3), epochs=2),
    evaluate=EvaluateConfig(
        corruptions=("gnoise",),
        severities=(1, 5),
        tolerances=("mirrored", "zoom"),
        tolerance_faces=20,
        resamples=50,
        batch_size=64,
    ),
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Fails what was skipped although FERJAX_MUST_RUN names its marker: where data lie ready, they
    must be used."""
    report = yield
    must = set(os.environ.get("FERJAX_MUST_RUN", "").split(",")) & {
        mark.name for mark in item.iter_markers()
    }
    if report.skipped and must and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but FERJAX_MUST_RUN names {', '.join(must)}: {report.longrepr}"
    return report


MAPPINGS = 20_000  # Linux allows a process 65,530; each compiled program holds several


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Drops what a worker has compiled before its memory mappings run out, which crashes it.

    Only between files: within one, programs are shared. Counting takes a few milliseconds.
    """
    mappings = Path("/proc/self/maps")
    if nextitem is None or nextitem.path == item.path or not mappings.exists():
        return
    if mappings.read_bytes().count(b"\n") > MAPPINGS:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def tiny() -> Config:
    """The smallest configuration that still goes the whole road."""
    return TINY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data that are no part of the repository; tests that need them are marked `rehearsal`."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("FERJAX_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}; set FERJAX_SHARED")
    return folder


@pytest.fixture(scope="session")
def tiny_faces():
    """The faces the tiny run is trained on."""
    from ferjax.faces import dataset

    return dataset.load(TINY.data)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and evaluated run, made by the command line once for all workers. Read it; copy it
    to change it."""
    from ferjax.cli import main

    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    folder = base / "tiny_run"
    finished = base / "tiny_run.json"
    try:
        (base / "tiny_run.claimed").mkdir()
    except FileExistsError:
        deadline = time.monotonic() + 300
        while not finished.exists():
            if time.monotonic() > deadline:
                pytest.fail("the worker that builds the shared run did not finish it")
            time.sleep(0.2)
        return folder
    config = base / "tiny.json"
    config.write_text(TINY.to_json())
    for command in (["train", str(config), "--out", str(folder)], ["evaluate", str(folder)]):
        with pytest.raises(SystemExit) as exit:
            main(command)
        assert exit.value.code == 0, f"ferjax {' '.join(command)} failed"
    config.rename(finished)
    return folder


@pytest.fixture
def rng() -> np.random.Generator:
    """Fresh, and the same in every test."""
    return np.random.default_rng(0)


MEMBERS = 3
ITEMS = 150
RESAMPLES = 50


@pytest.fixture(scope="session")
def predicted() -> dict[str, Predictions]:
    """Clean valid and test, two severities of one corruption, and a small other set; made without
    any network: log-probabilities that follow the votes, and less so under the corruption."""
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(8, 0.3), 2 * ITEMS)
    votes = rng.multinomial(10, truth)

    def of(rows, spread, **about):
        noise = spread * rng.normal(size=(MEMBERS, len(rows), 8))
        log_probs = scipy.special.log_softmax(np.log(truth[rows] + 0.03)[None] + noise, -1)
        return Predictions(log_probs.astype(np.float32), rows, votes[rows], truth[rows], **about)

    valid = np.arange(ITEMS)
    test = np.arange(ITEMS, 2 * ITEMS)
    other = of(valid[:20], 2.0, condition="not_a_face", split="ood")
    made = [
        of(valid, 0.3, condition="valid", split="valid"),
        of(test, 0.3, condition="test"),
        of(test, 0.5, condition="gnoise_1", corruption="gnoise", severity=1),
        of(test, 1.5, condition="gnoise_5", corruption="gnoise", severity=5),
        dataclasses.replace(other, ids=valid[:20] + 1000, votes=None, truth=None),
    ]
    return {p.condition: p for p in made}


@pytest.fixture(scope="session")
def conditions(predicted):
    """The same, scored."""
    from ferjax.evaluation.conditions import Conditions

    return Conditions.of(predicted, resamples=RESAMPLES)


@pytest.fixture(scope="session")
def evaluation(conditions):
    """The whole evaluation of them."""
    from ferjax.evaluation.evaluate import evaluate

    return evaluate(conditions)
