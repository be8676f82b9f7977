import signal

import pytest

from workshop.headless import interruption


def test_an_interruption_that_is_lost_comes_before_the_next_cell() -> None:
    interruption.check()
    with pytest.raises(KeyboardInterrupt):
        interruption.ask(signal.SIGINT, None)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    interruption.heard()
    interruption.check()
