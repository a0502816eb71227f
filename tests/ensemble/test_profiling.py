"""A trace of a few steps begins after the first ones and ends whatever happens."""

import jax
import jax.numpy as jnp

from ferjax.ensemble import profiling
from ferjax.ensemble.profiling import Trace


def test_a_trace_is_of_a_few_steps(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stopped"))
    trace = Trace(tmp_path)
    for step in range(1, 40):
        trace.after(step, jnp.zeros(1))
        assert len(calls) == (step >= profiling.FIRST) + (step >= profiling.FIRST + profiling.STEPS)
    trace.close()
    assert calls == [str(tmp_path), "stopped"]


def test_a_run_that_ends_early_ends_its_trace_and_none_is_none(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(jax.profiler, "start_trace", lambda folder: calls.append(folder))
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: calls.append("stopped"))
    for folder in (tmp_path, None):
        trace = Trace(folder)
        for step in range(1, profiling.FIRST + 2):
            trace.after(step, jnp.zeros(1))
        trace.close()
        trace.close()
    assert calls == [str(tmp_path), "stopped"]
