"""A provisional text on a terminal: marked, dim, interrupted by lines, harmless."""

from __future__ import annotations

import io

from dicast.cli.live_text import DIM, PLAIN, LiveText
from dicast.protocol.outputs import RoundOpened, StreamRestarted, Token


class Terminal(io.StringIO):
    """Text that a person looks at."""

    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO) -> str:
    live = LiveText(out)
    for event in (
        RoundOpened("a", "r", {}, 3, 2, 3, 1),
        Token("a", "r", "m", 0, "It\x1b[2J is"),
        Token("a", "r", "m", 11, " a hole"),
        None,
        Token("a", "r", "m", 9, " Paris"),
        StreamRestarted("a", "r", "n"),
        Token("a", "r", "n", 0, "Lyon"),
        None,
        None,
    ):
        if event is None:
            live.interrupt()
        else:
            live.hear(event)
    return out.getvalue()


def test_it_is_marked_dim_and_steers_no_terminal() -> None:
    assert shown(Terminal()) == (
        f"{DIM}provisional: It\N{REPLACEMENT CHARACTER}[2J is{PLAIN}\n"
        f"{DIM}… "
        " Paris"
        f"{PLAIN}\n{DIM}another node answers; the text above is void{PLAIN}\n"
        f"{DIM}provisional: Lyon{PLAIN}\n"
    )


def test_where_no_terminal_shows_it_nothing_is_written() -> None:
    assert shown(io.StringIO()) == ""
