"""How far a script is: a bar on a terminal, lines elsewhere."""

import io
import sys

import pytest

from common import progress
from common.progress import Progress

pytestmark = pytest.mark.quick


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; call it to set it forward by some seconds."""
    now = [100.0]

    def forward(seconds):
        now[0] += seconds

    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return forward


def test_elsewhere_there_is_a_line_every_few_seconds(clock, capsys):
    with Progress(2000, "TD3", "step", initial=1000) as shown:
        for _ in range(10):
            clock(1)
            shown.update(20)
            shown.note("last evaluation -9.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "TD3: 1,100 of 2,000 steps, 20 a second, 00:45 left, last evaluation -9.1",
        "TD3: 1,200 of 2,000 steps, 20 a second, 00:40 left, last evaluation -9.1",
        "TD3: 1,200 of 2,000 steps, 20 a second, in 00:10, last evaluation -9.1",
    ]


def test_what_takes_long_shows_that_it_goes_on(clock, capsys):
    with Progress(2, "playing", "episode") as shown:
        for _ in range(12):
            clock(1)
            shown.alive()
        shown.update()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["playing: 0 of 2 episodes"] * 2 and lines[2].startswith("playing: 1 of 2 episodes, ")


def test_a_bar_that_stands_still_shows_the_time(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(2, "playing", "episode") as shown:
        before = sys.stderr.getvalue()
        shown.alive()
        assert sys.stderr.getvalue() == before
        clock(6)
        shown.alive()
        assert sys.stderr.getvalue() != before


def test_slow_units_are_told_by_their_seconds(clock, capsys):
    with Progress(3, "pixels", "epoch") as shown:
        clock(35)
        shown.update()
    assert capsys.readouterr().err.startswith("pixels: 1 of 3 epochs, 35 s each, 01:10 left\n")


def test_what_breaks_off_or_is_not_shown_says_nothing(clock, capsys):
    with pytest.raises(KeyError), Progress(3, "x", "step"):
        raise KeyError
    with Progress(3, "x", "step", shown=False) as shown:
        clock(100)
        shown.update()
    assert shown.done == 1 and capsys.readouterr().err == ""


def test_nothing_done_and_no_time_gone(capsys):
    with Progress(0, "x", "step"):
        pass
    assert capsys.readouterr().err == "x: 0 of 0 steps\n"


def test_a_terminal_has_a_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with Progress(10, "TD3", "step", initial=5) as shown:
        shown.update(5)
        shown.note("last evaluation -9.1")
    assert (
        "\r" in sys.stderr.getvalue()
        and "10/10" in sys.stderr.getvalue()
        and "last evaluation -9.1" in sys.stderr.getvalue()
    )
