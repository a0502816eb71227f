"""The timing on a clock of our own: what is counted, in which order, and what is left out."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks.timing import copy_seconds, describe, free_memory, interleave, machine, matmul_peak


class Clock:
    """Time that passes only when a candidate says so."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def __call__(self):
        return self.now

    def candidate(self, name, *seconds):
        """A call that takes these seconds, one after another, then the last again and again."""
        remaining = list(seconds)

        def call():
            self.calls.append(name)
            self.now += remaining.pop(0) if len(remaining) > 1 else remaining[0]

        return call


def time_on(clock, candidates, **options):
    return interleave(candidates, clock=clock, wait=lambda result: result, **options)


def test_the_first_call_is_kept_apart_and_the_one_before_a_counted_run_is_not_counted():
    clock = Clock()
    timing = time_on(
        clock, {"a": clock.candidate("a", 100.0, 50.0, 1.0, 50.0, 2.0, 50.0, 6.0)}, runs=3
    )["a"]
    assert timing == (2.0, 1.0, 6.0, 3, 100.0)
    assert timing.spread == pytest.approx(1.25)


def test_candidates_take_turns_and_none_is_always_first():
    clock = Clock()
    time_on(clock, {name: clock.candidate(name, 1.0) for name in "abc"}, runs=3)
    assert "".join(clock.calls) == "abc" + "aabbcc" + "bbccaa" + "ccaabb"


def test_a_machine_that_slows_down_does_not_favour_one_side():
    clock = Clock()
    slower = {
        name: clock.candidate(
            name, *(1.0 * factor for factor in (9, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6))
        )
        for name in ("a", "b")
    }
    timing = time_on(clock, slower, runs=6)
    assert timing["a"].median == timing["b"].median == 3.5


def test_what_waiting_takes_is_counted():
    clock = Clock()

    def wait(result):
        clock.now += result

    timing = interleave({"lazy": lambda: 5.0}, runs=2, clock=clock, wait=wait)["lazy"]
    assert timing.median == 5.0


def test_arrays_are_waited_for():
    waited = []
    array = jnp.zeros(3)
    interleave(
        {"array": lambda: array},
        runs=1,
        wait=lambda result: waited.append(jax.block_until_ready(result)),
    )
    assert len(waited) == 3 and all(seen is array for seen in waited)


@pytest.mark.parametrize("limit, rounds", [(0.0, 2), (45.0, 3), (1e9, 9)])
def test_a_limit_ends_the_rounds_but_never_before_two(limit, rounds):
    clock = Clock()
    timing = time_on(clock, {"slow": clock.candidate("slow", 10.0)}, runs=9, limit=limit)["slow"]
    assert timing.runs == rounds


@pytest.mark.parametrize("candidates, runs", [({}, 3), ({"a": lambda: None}, 0)])
def test_nothing_to_time_is_an_error(candidates, runs):
    with pytest.raises(ValueError, match="expected candidates and at least one run"):
        interleave(candidates, runs)


def test_yardsticks_are_positive_and_the_machine_is_named():
    assert matmul_peak(64, runs=1) > 0 and copy_seconds(4096, runs=1) > 0 and free_memory() > 0
    facts = machine()
    assert (
        facts["devices"] == len(jax.devices())
        and facts["cores"] >= 1
        and facts["versions"]["jax"] == jax.__version__
    )
    assert f"JAX {jax.__version__}".lower() in describe(
        facts
    ) and f"load {facts['load']}" in describe(facts)
