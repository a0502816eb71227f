"""The pace: up with answers, down with overload, and waiting when asked to."""

import random

import pytest

from ferjax.texts.throttle import Throttle, backoff


def test_it_grows_with_answers_to_the_most():
    throttle = Throttle(10)
    assert throttle.wait(3, 0.0) == 0.0
    assert throttle.wait(4, 0.0) is None
    for _ in range(30):
        throttle.answered()
    assert throttle.wait(9, 0.0) == 0.0
    assert throttle.wait(10, 0.0) is None


def test_overload_halves_it_once_for_all_requests_of_that_time():
    throttle = Throttle(16)
    for _ in range(12):
        throttle.answered()
    for _ in range(5):
        throttle.overloaded(sent=1.0, now=2.0, wait=None)
    assert throttle.limit == 8
    throttle.overloaded(sent=2.5, now=3.0, wait=None)
    assert throttle.limit == 4
    for _ in range(4):
        throttle.answered()
    assert 4.8 < throttle.limit <= 5  # one more a round, not one more an answer
    for step in range(9):
        throttle.overloaded(sent=4.0 + step, now=4.5 + step, wait=None)
    assert throttle.wait(0, 99.0) == 0.0  # never below one


def test_all_wait_as_long_as_the_server_asks():
    throttle = Throttle(4)
    throttle.overloaded(sent=0.0, now=1.0, wait=5.0)
    assert throttle.wait(0, 2.0) == pytest.approx(4.0)
    assert throttle.wait(0, 6.0) == 0.0


def test_so_many_a_minute():
    throttle = Throttle(100, per_minute=60)
    throttle.limit = 100
    now = 0.0
    for sent in range(10):
        now += throttle.wait(sent, now)
        throttle.sent(now)
    assert now == pytest.approx(9.0)


def test_waits_double_and_are_drawn():
    dice = random.Random(0)
    for attempt, most in ((1, 0.5), (2, 1.0), (4, 4.0), (30, 60.0)):
        waits = [backoff(attempt, dice) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * most
        assert 0.9 * most < max(waits) <= most
