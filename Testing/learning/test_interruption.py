from __future__ import annotations

import signal
import threading

import pytest

from MemorizingSAM3DLib.learning.interruption import stopping_gracefully


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_asks_to_stop_and_a_second_one_interrupts(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stopping_gracefully() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_time_that_is_up_asks_to_stop():
    with stopping_gracefully(minutes=0) as stop:
        assert stop()
    with stopping_gracefully(minutes=10) as stop:
        assert not stop()


def test_outside_of_the_main_thread_signals_are_left_alone():
    found = []

    def work() -> None:
        with stopping_gracefully() as stop:
            found.append(stop())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [False]
