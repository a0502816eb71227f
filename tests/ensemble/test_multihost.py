"""Several real processes on loopback train the members that one process trains.

Two of them; four too where FERJAX_FULL is 1.
"""

import os
import socket
import subprocess
import sys

import chex
import pytest

from ferjax.config import Config, DataConfig, EvaluateConfig, ModelConfig, TrainConfig
from ferjax.ensemble import checkpoint, multihost
from ferjax.ensemble.log import read_log

CONFIG = Config(
    data=DataConfig(synthetic_faces=60),
    model=ModelConfig(image_size=16, patch_size=8, dim=8, depth=1, heads=2),
    train=TrainConfig(seeds=(1, 2, 3, 4), epochs=2, batch_size=16, warmup_epochs=0),
    evaluate=EvaluateConfig(batch_size=8),
)


def trained(folder, processes):
    """Trains with the command line on four devices in all; parameters, and what processes said."""
    config = folder.with_suffix(".json")
    config.write_text(CONFIG.to_json())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    env = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={4 // processes}"}
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from ferjax.cli import main; main()",
                "train",
                str(config),
                "--out",
                str(folder),
            ]
            + (
                ["--coordinator", address, "--processes", str(processes), "--process", str(k)]
                if processes > 1
                else []
            ),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in range(processes)
    ]
    try:  # where one dies, the others wait for it
        said = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * processes, said
    return checkpoint.read(folder / "checkpoints", 4, parts=("params",))[1], said


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone") / "run"
    return *trained(folder, 1), folder


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4] if os.environ.get("FERJAX_FULL") == "1" else [2])
def test_processes_train_what_one_trains_and_the_first_one_tells(alone, tmp_path, processes):
    params, said = trained(tmp_path / "run", processes)
    # One member to a device either way: the same arithmetic.
    chex.assert_trees_all_equal(params, alone[0])
    assert f"on 4 cpu device(s), 1 each, {processes} processes" in said[0]
    assert not any("epoch" in text for text in said[1:])
    here = read_log(tmp_path / "run" / "metrics.jsonl")
    there = read_log(alone[2] / "metrics.jsonl")
    assert [line["loss"] for line in here] == [line["loss"] for line in there]
    assert [line["valid_accuracy"] for line in here] == [line["valid_accuracy"] for line in there]


def test_half_a_description_of_a_cluster_is_refused():
    with pytest.raises(ValueError, match="go together"):
        multihost.initialize("127.0.0.1:1234", 2)
    with pytest.raises(ValueError, match=r"--process must be in 0\.\.1, got 2"):
        multihost.initialize("127.0.0.1:1234", 2, 2)


def test_one_process_agrees_with_itself_and_is_the_primary():
    assert multihost.any_process(True, False) == (True, False)
    assert multihost.is_primary()
    done = []
    multihost.on_primary(lambda: done.append(1))
    assert done == [1]
    with pytest.raises(KeyError, match="'absent'"):
        multihost.on_primary(lambda: {}["absent"])
