"""People are told once of what begins, now and then of what lasts, and of its end; a restart changes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from node.config import Config
from node.config.notify import DAYS, Quiet, Window
from node.errors import HoldReason, NetworkError
from node.ledger import Database, Ledger
from node.ledger.alerts import alerts
from node.ledger.cleaning import CleaningLedger
from node.ledger.meters import fold
from node.ledger.notices import troubles
from node.ledger.reception import Refusal, count_refusals
from node.ledger.results import Held
from node.ledger.sending import SendingLedger
from node.notifier.matters import silence
from node.notifier.messages import test_message as a_test
from node.notifier.worker import Notifier, channels
from tests.dicomnet.tls import Authority
from tests.ledger.support import receive, sql
from tests.support import free_port
from tests.watching.peers import Hook, MailServer
from tests.watching.support import ledger_of

HOUR, DAY = 3600.0, 86400.0


@dataclass
class Watched:
    """A ledger whose notifier tells a web server; `restart` is what a restart of the node is to it."""

    config: Config
    database: Database
    hook: Hook
    held: list[str] = field(default_factory=list)
    now: float = field(default_factory=time.time)
    notifier: Notifier = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.notifier = Notifier(self.config, self.database, channels(self.config.notify))

    def look(self, later: float) -> int:
        """Look so many seconds from now; return how many messages came by it."""
        before = len(self.hook.came)
        self.notifier.look(self.now + later)
        return len(self.hook.came) - before

    def hold(self, at: float = 0.0, reason: HoldReason = HoldReason.UNPARSABLE) -> None:
        self.held.append(receive(self.database, uid=f"1.2.{len(self.held)}"))
        cleaning = CleaningLedger(self.database, "c")
        cleaning.settle([Held(one, reason) for one in cleaning.claim(1)])
        sql(self.database, "UPDATE instances SET changed_at = ? WHERE id = ?", self.now + at, self.held[-1])

    def release(self) -> None:
        for name in self.held:
            assert Ledger(self.database).release(name)


@pytest.fixture
def watched(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Watched]:
    hook = Hook(free_port())
    more: dict[str, Any] = getattr(request, "param", {})
    settings = {"webhook": {"url": f"http://127.0.0.1:{hook.port}/hook?key=secret-of-the-url"}, "name": "NODE 7"} | more
    config, database = ledger_of(tmp_path, notify=settings)
    with hook.running():
        yield Watched(config, database, hook)
    database.close()


def test_holds_are_told_together_at_most_once_an_hour_and_their_end(watched: Watched) -> None:
    assert watched.look(0) == 0, "nothing is the matter"
    watched.hold(at=1)
    assert watched.look(2) == 1
    for number in range(5):
        watched.hold(at=10 + number, reason=HoldReason.LEAK)
        assert watched.look(20 + number) == 0
    watched.restart()
    assert watched.look(HOUR - 1) == 0
    assert watched.look(HOUR + 3) == 1
    (again,) = watched.hook.came[-1]["lasts"]
    assert again["text"] == "6 held (5 leak, 1 unparsable): deid-node held list"
    assert again["count"] == 6
    assert watched.look(3 * HOUR) == 0, "nothing was added"
    assert watched.look(HOUR + 3 + DAY) == 1, "after a day it is told again that it lasts"
    sql(watched.database, "UPDATE instances SET reason = 'unparsable'")
    watched.release()
    watched.restart()
    assert watched.look(HOUR + 4 + DAY) == 1
    assert watched.hook.kinds("over")[-1] == [("held", "")]
    assert watched.look(9 * DAY) == 0
    text = str(watched.hook.came)
    assert not [name for name in watched.held if name in text]


def test_a_destination_is_told_when_it_is_down_for_long_and_when_it_answers(watched: Watched) -> None:
    ledger = SendingLedger(watched.database, "d")
    for failures in range(1, 4):
        ledger.unreachable(failures, watched.now, "no connection to 10.1.2.3:104 (Connection refused)")
    assert watched.look(9 * 60) == 0
    assert watched.look(11 * 60) == 1
    assert watched.hook.kinds("began") == [[("destination-down", "d")]]
    assert "10.1.2.3" not in str(watched.hook.came)
    ledger.reached()
    assert watched.look(12 * 60) == 1
    assert watched.hook.kinds("over")[-1] == [("destination-down", "d")]
    assert watched.hook.came[-1]["text"].startswith("[deid-node NODE 7] 1 over: destination-down d\n")
    ledger.unreachable(1, watched.now, "again")
    Ledger(watched.database).pause("d")
    assert watched.look(DAY) == 0, "whoever paused it knows"


@pytest.mark.parametrize("watched", [{"at_most": 2}], indirect=True)
def test_no_more_messages_go_in_an_hour_than_may_and_nothing_is_lost_by_it(watched: Watched) -> None:
    down = SendingLedger(watched.database, "d")
    down.unreachable(1, watched.now, "away")
    assert watched.look(700) == 1
    down.reached()
    assert watched.look(701) == 1
    watched.hold()
    watched.restart()
    assert watched.look(702) == 0
    assert watched.look(700 + HOUR - 1) == 0
    assert watched.look(700 + HOUR + 1) == 1
    assert watched.hook.kinds("began")[-1] == [("held", "")]


def test_what_is_not_taken_is_tried_again_later_and_later_and_told_as_it_is_then(watched: Watched) -> None:
    watched.hold()
    watched.hook.answer = 500
    for later, asked in ((0, 1), (29, 1), (31, 2), (90, 2), (92, 3), (93, 3)):
        watched.look(later)
        assert watched.hook.asked == asked, later
    with watched.database.read() as connection:
        (trouble,) = troubles(connection)
    assert (trouble.channel, trouble.error) == ("webhook", "the webhook answered 500")
    assert [one["kind"] for one in alerts(watched.database, watched.config)] == ["notify-failing"]
    watched.hook.answer = 302
    watched.restart()
    watched.look(100)
    assert watched.hook.asked == 4, "a redirection is not followed"
    watched.hook.answer = 200
    watched.hold()
    assert watched.look(200) == 1
    (began,) = watched.hook.came[0]["began"]
    assert began["count"] == 2
    assert not alerts(watched.database, watched.config)


def test_refused_contexts_are_told_by_senders_that_the_configuration_names_and_no_other(tmp_path: Path) -> None:
    hook = Hook(free_port())
    route = {"name": "r", "project": "p", "recipe": ["research"], "to": ["d"], "from": {"calling_ae": ["CT1", "X*"]}}
    config, database = ledger_of(tmp_path, routes=[route], notify={"webhook": {"url": f"http://127.0.0.1:{hook.port}"}})
    for title, uid in (
        ("CT1", "1.2.840.10008.1.20.1"),
        ("XPLANTED", "1.2.840.10008.5.1.4.31"),
        ("X*", "1.2.3.19600314"),
        ("PLANTED", "PLANTED"),
    ):
        count_refusals(database, {Refusal("presentation-context", title, "DEIDNODE", "10.0.0.1", uid): 4})
    with hook.running():
        notifier = Notifier(config, database, channels(config.notify))
        notifier.look()
        assert hook.kinds("began") == [[("refused-contexts", "CT1"), ("refused-contexts", "another sender")]]
        one, other = hook.came[0]["began"]
        assert "Storage Commitment Push Model SOP Class (4 times)" in one["text"]
        assert (one["count"], other["count"]) == (4, 12)
        assert "private SOP class (8 times)" in other["text"]
        assert not [word for word in ("PLANTED", "19600314", "10.0.0.1") if word in str(hook.came)]
        notifier.look(time.time() + 2 * DAY)
        assert sorted(hook.kinds("over")[-1]) == sorted(hook.kinds("began")[0])
    database.close()


def moment(weekday: int, clock: str) -> float:
    """A moment of the first week of June 2026, by this machine's local time; Monday is 1."""
    hour, _, minute = clock.partition(":")
    return time.mktime((2026, 6, weekday, int(hour), int(minute), 0, 0, 0, -1))


WORKDAY = Quiet.model_construct(route="r", after=4 * HOUR, between=Window(7 * 60, 19 * 60), days=DAYS[:5])
NIGHT = Quiet.model_construct(route="r", after=HOUR, between=Window(22 * 60, 6 * 60), days=("mon",))
OFTEN = Quiet.model_construct(route="r", after=HOUR)
WEEKEND = Quiet.model_construct(route="r", after=DAY, days=("sat", "sun"))


@pytest.mark.parametrize(
    ("quiet", "came", "now", "said"),
    [
        (WORKDAY, (1, "06:00"), (1, "10:59"), "unsure"),  # of the time that counts less than four hours
        (WORKDAY, (1, "06:00"), (1, "11:01"), "silent"),
        (WORKDAY, (1, "09:00"), (1, "12:59"), "fine"),
        (WORKDAY, (1, "09:00"), (1, "13:01"), "silent"),
        (WORKDAY, (1, "09:00"), (1, "19:01"), "unsure"),  # the evening does not end it
        (WORKDAY, (1, "09:00"), (2, "07:01"), "unsure"),
        (WORKDAY, (1, "18:59"), (2, "10:59"), "unsure"),
        (WORKDAY, (1, "18:59"), (2, "11:01"), "silent"),
        (WORKDAY, (5, "18:59"), (6, "12:00"), "unsure"),  # a Saturday
        (WORKDAY, (5, "18:59"), (6, "22:00"), "unsure"),
        (NIGHT, (1, "20:00"), (1, "23:30"), "silent"),
        (NIGHT, (1, "20:00"), (2, "03:00"), "silent"),  # the night of Monday
        (NIGHT, (2, "03:00"), (2, "03:59"), "fine"),
        (NIGHT, (2, "07:00"), (2, "23:30"), "unsure"),
        (OFTEN, (1, "00:10"), (1, "01:00"), "fine"),
        (OFTEN, (1, "23:50"), (2, "00:40"), "fine"),
        (OFTEN, (1, "23:30"), (2, "00:40"), "silent"),  # midnight is nothing new to it
        (WEEKEND, (4, "12:00"), (6, "04:00"), "unsure"),
        (WEEKEND, (5, "12:00"), (7, "02:00"), "silent"),
    ],
)
def test_silence_counts_only_in_its_part_of_the_day(
    quiet: Quiet, came: tuple[int, str], now: tuple[int, str], said: str
) -> None:
    found = silence(quiet, moment(*came), 0.0, moment(*now))
    assert ("fine" if found is None else "unsure" if found.unsure else "silent") == said


@pytest.mark.parametrize(
    "watched", [{"on": {"held": "never", "nothing_received": [{"route": "r", "after": "4h"}]}}], indirect=True
)
def test_a_silent_route_is_told_from_when_it_was_watched_or_something_came(watched: Watched) -> None:
    assert watched.look(0) == 0
    watched.restart()
    later = 4 * HOUR + 60
    assert watched.look(later - 120) == 0
    assert watched.look(later) == 1
    assert watched.hook.kinds("began") == [[("nothing-received", "r")]]
    receive(watched.database)
    sql(watched.database, "UPDATE instances SET received_at = ?", watched.now + later)
    sql(watched.database, "UPDATE events SET at = ?", watched.now + later)
    fold(watched.database)
    assert watched.look(later + 1) == 1
    assert watched.hook.kinds("over")[-1] == [("nothing-received", "r")]


def test_mail_goes_by_tls_with_a_password_and_an_error_repeats_nothing_of_the_server(
    tmp_path: Path, authority: Authority
) -> None:
    server = MailServer(free_port(), authority, authority.issue("mail", alternatives="IP:127.0.0.1"), {"deid": "pass"})
    mail = {
        "to": ["a@hospital.example", "b@hospital.example"],
        "from": "node@hospital.example",
        "server": f"127.0.0.1:{server.port}",
        "ca": str(authority.ca),
        "user": "deid",
        "password": "pass",
    }
    config, database = ledger_of(tmp_path, notify={"mail": mail})
    (channel,) = channels(config.notify)
    assert "pass" not in repr(config).replace("password", "")
    with pytest.raises(NetworkError, match="no connection to the mail server"):
        channel.send(a_test("N"))
    with server.running():
        count_refusals(database, {Refusal("presentation-context", "CT1", "D", "10.0.0.1", "1.2.840.10008.1.20.1"): 1})
        Notifier(config, database, [channel]).look()
        assert server.sessions == [(True, "deid")]
        (came,) = server.came
        assert came["To"] == "a@hospital.example, b@hospital.example"
        assert came["Subject"] == "[deid-node DEIDNODE] 1 new: refused-contexts another sender"
        assert came["Auto-Submitted"] == "auto-generated"
        assert "- refused-contexts another sender, since " in server.texts()[0]
        server.answer = "451"
        with pytest.raises(NetworkError, match=r"^the mail server refused the message \(451\)$"):
            channel.send(a_test("N"))
        server.passwords.clear()
        with pytest.raises(NetworkError, match=r"^the mail server does not accept user and password \(535\)$"):
            channel.send(a_test("N"))
        strangers = Authority(tmp_path / "strangers", "Strangers")
        (tmp_path / "other").mkdir()
        other, _ = ledger_of(tmp_path / "other", notify={"mail": mail | {"ca": str(strangers.ca)}})
        with pytest.raises(NetworkError, match="certificate is not accepted"):
            channels(other.notify)[0].send(a_test("N"))
    database.close()
