"""When a token counts as removed: looks, questions to the token, and what the transports show."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.rigs.core import FakeToken

from ownerd.model.errors import Busy, OwnerdError, ProtocolBroken, TokenMissing, WrongKey
from ownerd.model.token import TokenCredential
from ownerd.tokens.presence import RemovalWatch, Sight, is_contactless, see_software, see_usb

CREDENTIAL = FakeToken("A").credential
GONE = Sight(None)
HERE, BACK = Sight("1"), Sight("2")


class Scripted:
    """Shows ``sights`` one after the other; the token gives ``answers`` when it is asked."""

    def __init__(self, sights: list[Sight | None], answers: list[OwnerdError | None]) -> None:
        self.sights = sights
        self.answers = answers

    async def sight(self, credential: TokenCredential) -> Sight | None:
        assert credential is CREDENTIAL
        if not self.sights:
            raise EOFError
        return self.sights.pop(0)

    async def locate(self, credentials: Sequence[TokenCredential]) -> TokenCredential:
        assert list(credentials) == [CREDENTIAL]
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return CREDENTIAL


def watch(sights: list[Sight | None], answers: list[OwnerdError | None]) -> bool | None:
    """None: still watching when the script ended. All answers must have been asked for."""
    tokens = Scripted(sights, answers)
    try:
        removed = asyncio.run(RemovalWatch(tokens, looks=2, interval_seconds=0).wait_removed(CREDENTIAL))
    except EOFError:
        removed = None
    assert tokens.answers == []
    return removed


def missing() -> TokenMissing:
    return TokenMissing("no enrolled token is present")


def test_a_token_that_stays_is_never_spoken_to() -> None:
    assert watch([HERE] * 5, []) is None


def test_two_looks_without_it_are_a_removal() -> None:
    assert watch([HERE, GONE, GONE], [missing(), missing()]) is True


def test_one_look_without_it_is_none() -> None:
    # After it answered, it is looked at once more: that is how it shows itself from now on.
    assert watch([HERE, GONE, BACK, BACK, BACK, GONE], [missing(), None, missing()]) is None


def test_a_token_in_another_place_is_the_same_token_and_another_in_its_place_is_not() -> None:
    assert watch([HERE, GONE, BACK, BACK], [None]) is None
    assert watch([HERE, BACK, BACK], [missing(), missing()]) is True


def test_a_token_that_another_program_holds_is_not_gone() -> None:
    assert watch([HERE, BACK, BACK, BACK], [Busy("held")] * 3) is None


@pytest.mark.parametrize("other", [ProtocolBroken("mute"), WrongKey("another's")])
def test_what_is_there_instead_and_does_not_answer_as_the_token_is_not_it(other: OwnerdError) -> None:
    assert watch([HERE, BACK, BACK], [other] * 2) is True


def test_what_is_seen_first_only_after_a_while_is_asked_whether_it_is_the_token() -> None:
    assert watch([None, BACK, BACK, BACK], [missing(), missing()]) is True
    assert watch([None, HERE, HERE, HERE, HERE], [None]) is None


def test_another_token_that_is_busy_does_not_hide_the_removal() -> None:
    assert watch([HERE, GONE, GONE], [Busy("held"), Busy("held")]) is True


def test_while_nobody_can_tell_nothing_is_counted_and_nobody_is_asked() -> None:
    assert watch([None, HERE, None, GONE, None, None], [missing()]) is None
    assert watch([None, HERE, None, GONE, None, GONE], [missing(), missing()]) is True


def test_a_token_that_was_gone_at_the_first_look_is_removed() -> None:
    assert watch([GONE, GONE, GONE], [missing(), missing()]) is True


def test_what_does_not_stay_inserted_is_not_watched() -> None:
    assert watch([Sight("1", stays=False)], []) is False
    assert watch([Sight(None, stays=False)], []) is False


def test_a_node_that_comes_back_under_the_same_name_is_another(tmp_path: Path) -> None:
    node = tmp_path / "hidraw3"
    assert see_usb("hidraw3", tmp_path) == Sight(None)
    node.touch()
    before = see_usb("hidraw3", tmp_path)
    assert before.trace is not None
    assert before == see_usb("hidraw3", tmp_path)
    node.rename(tmp_path / "kept")
    node.touch()
    assert see_usb("hidraw3", tmp_path) != before


def test_a_killed_software_token_is_gone_though_its_socket_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "ownerd").mkdir()
    path = tmp_path / "ownerd" / "softtoken-a b.sock"
    assert see_software("a b") == Sight(None)
    traces = set()
    for _ in range(2):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(os.fspath(path))
            assert see_software("a b") == Sight(None), "bound, but nobody listens"
            listener.listen()
            seen = see_software("a b")
            assert seen == see_software("a b")
            assert seen is not None
            traces.add(seen.trace)
        assert path.exists()
        assert see_software("a b") == Sight(None)
        path.unlink()
    assert None not in traces
    assert len(traces) == 2
    assert see_software("a b", tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("atr", "contactless"),
    [
        ("3B80800101", True),
        ("3B8F8001804F0CA000000306030001000000006A", True),
        ("3BFD1300008131FE158073C021C057597562694B657940", False),
        ("3BF81300008131FE15597562696B657934D4", False),
        ("3B", False),
        ("", False),
        ("3B008001", False),
    ],
)
def test_contactless_cards_are_known_by_the_atr_that_pcsc_makes_for_them(atr: str, contactless: bool) -> None:
    assert is_contactless(bytes.fromhex(atr)) is contactless
