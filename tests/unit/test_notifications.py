"""The inbox of a session, and requests that wait for it: without a server."""

from __future__ import annotations

import pytest

from psqlpy import exceptions
from psqlpy._protocol.commands import Commands
from psqlpy._protocol.notifications import Attention, Inbox, check_channel, listen, unlisten
from tests.session_rig import Rig


def test_attention_ends_with_a_notification() -> None:
    rig = Rig()
    inbox = Inbox(rig.session)
    attention = Attention(inbox)
    woken: list[str] = []
    attention.wake = lambda _: woken.append("now")
    rig.session.submit(attention)
    assert (woken, list(rig.session.flights)) == ([], [])
    assert rig.session.on_notification is not None
    rig.session.on_notification(("channel", "payload", 7))
    assert (woken, attention.error) == (["now"], None)
    assert list(inbox.arrived) == [("channel", "payload", 7)]
    assert inbox.waiting == set()


def test_attention_that_comes_too_late_ends_at_once() -> None:
    rig = Rig()
    inbox = Inbox(rig.session, [("channel", "payload", 7)])
    attention = Attention(inbox)
    rig.session.submit(attention)
    assert attention.done


def test_attention_holds_nobody_back_and_may_be_left() -> None:
    rig = Rig()
    inbox = Inbox(rig.session)
    attention = Attention(inbox)
    rig.session.submit(attention)
    commands = Commands((b"SELECT 1",))
    rig.session.submit(commands)
    assert list(rig.session.flights) == [commands]
    rig.session.abandon(attention)
    assert list(rig.session.flights) == [commands]
    inbox.take_in(("channel", "payload", 7))
    assert len(inbox.arrived) == 1


@pytest.mark.parametrize("end", ["close", "lost"])
def test_the_end_of_the_session_ends_attention(end: str) -> None:
    rig = Rig()
    inbox = Inbox(rig.session)
    attention = Attention(inbox)
    rig.session.submit(attention)
    if end == "close":
        rig.session.close()
    else:
        rig.session.lost("the server is gone")
    assert attention.done and inbox.is_over
    late = Attention(inbox)
    rig.session.submit(late)
    assert isinstance(late.error, exceptions.ConnectionClosedError)
    assert Inbox(rig.session).is_over


def test_commands_quote_their_channels() -> None:
    assert listen(['a"b', "C d"]) == (b'LISTEN "a""b"', b'LISTEN "C d"')
    assert unlisten(["x"]) == (b'UNLISTEN "x"',)
    assert check_channel("é" * 31) == "é" * 31
    with pytest.raises(exceptions.ParameterValueError, match="at most 63 bytes"):
        check_channel("é" * 32)
