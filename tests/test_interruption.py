"""Signals: raised while there is nothing to save, recorded afterwards; a second Ctrl-C kills."""

import signal
import subprocess
import sys

import pytest

from ferjax.interruption import EXIT_STATUS, Interrupted, Stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_recorded_and_handlers_are_restored(number):
    before = signal.getsignal(number)
    with Stop() as stop:
        stop.graceful = True
        assert stop.received is None
        signal.raise_signal(number)
        assert stop.received == number
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
    assert signal.getsignal(number) == before
    with (
        pytest.raises(Interrupted, match=f"stopped by {number.name}; no step had been taken"),
        Stop(),
    ):
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_statuses_are_distinct():
    assert EXIT_STATUS == {signal.SIGTERM: 75, signal.SIGINT: 130}


def test_a_second_ctrl_c_stops_at_once_whatever_python_is_doing():
    code = (
        "import signal, time\nfrom ferjax.interruption import Stop\n"
        "with Stop() as stop:\n    stop.graceful = True\n"
        "    signal.raise_signal(signal.SIGINT)\n    print(stop.received.name, flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n    print('late')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGINT, "SIGINT\n")
