"""A run's programs compiled ahead: on fake devices, and for real ones where compilers are."""

import dataclasses
from importlib.util import find_spec

import jax
import pytest

from ferjax.config import Config, EvaluateConfig, ModelConfig, TrainConfig, dinov2
from ferjax.ensemble import ahead, cost, fitting, parallel, placement, target_names, targets
from ferjax.ensemble.accelerators import KINDS
from ferjax.faces import ferplus
from ferjax.faces.dataset import DataSpec

SPEC = DataSpec(("a", "b", "c"), 16)
FACES = {"train": 40, "valid": 16}
RUN = Config(
    model=ModelConfig(image_size=16, patch_size=8, dim=16, depth=1, heads=2, dtype="bfloat16"),
    train=TrainConfig(seeds=(1, 2, 3), batch_size=8),
    evaluate=EvaluateConfig(batch_size=16),
)


@pytest.fixture(scope="module")
def programs():
    """Three members on four devices, two replicas each: 2 each, 1 padding."""
    layout = parallel.lay_out(3, jax.devices()[:4], batch=8, replicas=2)
    events = []
    found = list(
        ahead.compile_run(RUN, SPEC, jax.devices()[:4], layout, FACES, on_event=events.append)
    )
    assert next(event.text for event in events) == "compiling the training step"
    return {program.name: program for program in found}


@pytest.mark.slow
def test_every_program_of_a_run_is_compiled(programs):
    assert list(programs) == ["training step", "validation", "prediction"]
    for program in programs.values():
        assert program.device_bytes > 0 and program.flops > 0 and program.seconds > 0
        assert program.between_members == 0 and not program.refusal and program.steady


@pytest.mark.slow
def test_replicas_join_gradients_and_nothing_else_joins(programs):
    assert set(programs["training step"].collectives) >= {"all-reduce"}
    assert programs["prediction"].collectives == {}


@pytest.mark.parametrize("target", ["v5e", "v9:2x2", "h100:", "h100:x", "h100:2x2x2", "h100:0", ""])
def test_unknown_targets_are_named_with_the_known(target):
    with pytest.raises(ValueError, match=r"unknown target .*v5e:2x4|needs its compiler"):
        targets.target_devices(target)


@pytest.mark.parametrize(
    "target, package", [("v5e:2x4", r"jax\[tpu\]"), ("h100:8", "jax-cuda12-plugin")]
)
def test_a_missing_compiler_is_named_by_its_package(target, package, monkeypatch):
    monkeypatch.setattr(target_names, "find_spec", lambda module: None)
    with pytest.raises(ValueError, match=f"{target} needs its compiler: pip install '{package}>="):
        targets.target_devices(target)


def test_advice_says_what_fits_in_the_command_lines_words():
    run = Config(
        model=ModelConfig(image_size=112, patch_size=8, dim=64, depth=4, heads=4),
        train=TrainConfig(seeds=(1, 2), batch_size=64),
    )
    devices = jax.devices()[:1]
    placed = placement.choose(run, SPEC, train_faces=100, valid_faces=20, devices=devices).best
    needed = placed.budget.device_bytes
    step = ahead.CompiledProgram("training step", needed, 0, 0, 0, None, {}, 0, True, 1.0)
    faces = {"train": 100, "valid": 20}
    lines = fitting.advice(run, SPEC, devices, faces, placed, step, int(0.7 * needed))
    assert any(line.startswith("--train.accumulate 2: about ") for line in lines)
    assert any(line.startswith("--model.remat: about ") for line in lines)
    (hopeless,) = fitting.advice(run, SPEC, devices, faces, placed, step, 1000)
    assert "no single change is enough" in hopeless


def test_a_product_that_triton_cannot_tile_is_compiled_without_it():
    """As of g/14 on eight cards; any other refusal is told."""

    class Lowered:
        refusal = "INTERNAL: Couldn't find output tile sizes that satisfy hlo: %dot"

        def compile(self, compiler_options):
            if compiler_options.get("xla_gpu_enable_triton_gemm", True):
                raise jax.errors.JaxRuntimeError(self.refusal)
            return compiler_options

    options = ahead._compiled(Lowered(), "gpu")
    assert options == {**targets.COMPILER_OPTIONS["gpu"], "xla_gpu_enable_triton_gemm": False}
    Lowered.refusal = "INTERNAL: ptxas"
    with pytest.raises(jax.errors.JaxRuntimeError, match="ptxas"):
        ahead._compiled(Lowered(), "gpu")


needs_tpu = pytest.mark.skipif(find_spec("libtpu") is None, reason="extra tpu")
needs_cuda = pytest.mark.skipif(find_spec("jax_cuda12_plugin") is None, reason="cuda12-compiler")


@pytest.mark.compilers
@pytest.mark.slow
@pytest.mark.parametrize(
    "target, count, kind",
    [
        pytest.param("v5e:2x4", 8, "v5e", marks=needs_tpu),
        pytest.param("h100:2x4", 8, "h100", marks=needs_cuda),
    ],
)
def test_a_run_is_compiled_for_devices_that_are_not_here(target, count, kind):
    devices = targets.target_devices(target)
    assert len(devices) == count and devices[0].device_kind == KINDS[kind].device_kind
    assert len({device.process_index for device in devices}) == 2
    layout = parallel.lay_out(3, devices, batch=8, replicas=4)
    for program in ahead.compile_run(RUN, SPEC, devices, layout, FACES):
        assert program.device_bytes > 0 and program.between_members == 0 and program.steady


@pytest.mark.compilers
@pytest.mark.slow
@needs_cuda
@pytest.mark.parametrize("cards", [1, 2])
def test_the_estimate_is_within_a_quarter_of_the_compilers_figure(cards):
    """Of the paper's network, two blocks deep; two cards share each batch, and then the gradients
    of weights must not wait for all blocks' activations (0.55 before they were kept together)."""
    run = Config(
        model=dataclasses.replace(dinov2("b14", dtype="bfloat16", remat=True), depth=2),
        train=TrainConfig(seeds=(1, 2), batch_size=64),
    )
    devices = targets.target_devices(f"h100:{cards}")
    layout = parallel.lay_out(2, devices, batch=64, replicas=cards)
    faces = {"train": 28_709, "valid": 3_589}
    step = next(ahead.compile_run(run, ferplus.SPEC, devices, layout, faces))
    budget = cost.estimate(run, ferplus.SPEC, layout, train_faces=28_709, valid_faces=3_589)
    assert 0.75 < budget.device_bytes / step.device_bytes < 1.25


@pytest.mark.compilers
@needs_tpu
def test_a_topology_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="v5e:3x7 is no TPU topology"):
        targets.target_devices("v5e:3x7")
