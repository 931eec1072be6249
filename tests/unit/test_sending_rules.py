"""The file of sending rules: what is shipped holds together, and what is wrong is named."""

import re
from pathlib import Path

import pytest

from services.broadcast.optout import is_stop
from services.broadcast.rules import leaving
from services.broadcast.rules.book import Guard, Kind, Lane
from services.broadcast.rules.judge import Defer, Go, PersonFacts, Reason, Suppress, judge
from services.broadcast.rules.leaving import NoWayOut, line
from services.broadcast.rules.reading import parse, read, shipped
from services.runtime.errors import ConfigError
from tests.sending_rules import FILE, RULES, at, message

GULF = {"AE": "+971", "SA": "+966", "QA": "+974", "OM": "+968", "BH": "+973", "KW": "+965"}


def test_the_shipped_rules_cover_the_gulf_and_say_where_each_comes_from() -> None:
    rules = read(None)
    assert {one.code: one.prefix for one in rules.countries if one.code != "ZZ"} == GULF
    for code in GULF:
        for kind in (Kind.INFORMATIONAL, Kind.MARKETING):
            assert any(code in one.countries and kind in one.kinds for one in rules.quiet)
    told = [one.sources for one in rules.quiet]
    told += [one.sources for one in rules.caps]
    told += [one.sources for one in rules.forbidden]
    told += [one.sources for one in rules.marks]
    told += [one.sources for one in rules.bases.values()]
    assert all(told)
    used = {source.name for sources in told for source in sources}
    # The tables of the moon are a period's, and the law of Qatar gives no hours.
    assert set(rules.sources) - used == {"umm-al-qura", "qa-law-13-2016"}


@pytest.mark.parametrize(
    ("country", "local", "kind", "opens"),
    [
        ("AE", "2026-11-24 20:30", Kind.INFORMATIONAL, "2026-11-24 20:30"),
        ("AE", "2026-11-24 20:30", Kind.MARKETING, "2026-11-25 09:00"),
        ("AE", "2026-11-27 12:00", Kind.INFORMATIONAL, "2026-11-27 13:30"),
        ("AE", "2027-02-20 09:00", Kind.INFORMATIONAL, "2027-02-20 10:00"),
        ("AE", "2027-02-20 18:00", Kind.INFORMATIONAL, "2027-02-20 20:30"),
        ("SA", "2026-11-24 22:30", Kind.INFORMATIONAL, "2026-11-25 09:00"),
        ("QA", "2026-11-24 21:00", Kind.INFORMATIONAL, "2026-11-25 08:00"),
        ("QA", "2026-11-27 15:00", Kind.MARKETING, "2026-11-29 08:00"),
        ("OM", "2026-11-25 07:00", Kind.INFORMATIONAL, "2026-11-25 08:00"),
        ("BH", "2026-11-24 20:00", Kind.INFORMATIONAL, "2026-11-25 09:00"),
        ("KW", "2026-11-26 20:00", Kind.INFORMATIONAL, "2026-11-27 10:00"),
        ("KW", "2026-11-28 19:00", Kind.INFORMATIONAL, "2026-11-29 09:00"),
    ],
)
def test_hours_of_the_shipped_rules(country: str, local: str, kind: Kind, opens: str) -> None:
    rules = shipped()
    zone = rules.country_of(GULF[country] + "5").zones[0][1].key
    asked = message(kind, number=f"{GULF[country]}501234567", sender="AD-MOH", rules=rules)
    now, then = at(local, zone), at(opens, zone)
    verdict = judge(rules, asked, PersonFacts(), now)
    assert verdict == (Go() if then == now else Defer(then, Reason.QUIET_HOURS))


def test_government_sends_no_marketing_in_saudi_arabia() -> None:
    asked = message(Kind.MARKETING, number="+966501234567", sender="MOH-AD", rules=shipped())
    verdict = judge(shipped(), asked, PersonFacts(), at("2026-11-24 12:00", "Asia/Riyadh"))
    assert verdict == Suppress(Reason.KIND_FORBIDDEN)


def test_rehearsals_with_synthetic_numbers_do_not_depend_on_the_hour() -> None:
    for hour in range(24):
        now = at(f"2026-11-27 {hour:02d}:30")
        for kind in Kind:
            asked = message(kind, number="+999512345678", rules=shipped())
            assert judge(shipped(), asked, PersonFacts(), now) == Go()


def test_only_warnings_reach_who_opted_out() -> None:
    for basis in shipped().bases.values():
        assert basis.text.keys() == {"ar", "en"}
        if Guard.OPT_OUT in basis.ignores:
            assert basis.kinds == {Kind.WARNING}


def test_every_word_that_a_text_asks_for_is_understood() -> None:
    for text in shipped().leaving.wording[leaving.REPLY].values():
        word = "STOP" if "STOP" in text else text.rpartition(" ")[2]
        assert is_stop(word), text


def test_a_text_names_the_way_that_there_is() -> None:
    home, abroad = RULES.country_of("+971"), RULES.abroad

    def said(kind: Kind, sender: str, language: str, token: str = "", agency: str = "moh") -> str:
        return line(RULES, home, kind, agency, sender, language, token)

    assert said(Kind.SERVICE, "MOH", "en", "t" * 22) == ""
    assert said(Kind.INFORMATIONAL, "MOH", "en-AE", "t" * 22) == (
        "Stop: https://s.example/o/" + "t" * 22
    )
    assert said(Kind.INFORMATIONAL, "MOH", "ar") == "اتصل 800 1"
    assert said(Kind.INFORMATIONAL, "MOH", "hi") == "اتصل 800 1 Call 800 1"
    assert said(Kind.INFORMATIONAL, "5151", "ur", "t" * 22, agency="") == "STOP"
    with pytest.raises(NoWayOut, match="abroad"):
        line(RULES, abroad, Kind.INFORMATIONAL, "moh", "MOH", "en")


@pytest.mark.parametrize(
    ("was", "becomes", "told"),
    [
        ("version: 1", "version: 2", "line 1: version: must be 1"),
        ("standing: law", "standing: rumour", "line 3: sources[0].standing: must be law or"),
        ("checked: 2026-01-01", "checked: lately", "line 3: sources[0].checked: must be a day"),
        ("checked: 2026-01-01", "checked: 2026-01-32", "sources[0].checked: must be a day"),
        ("last: 2027-03-09", "last: 2027-02-07", "periods[0].spans[0].last: must not be before"),
        ("zone: Asia/Dubai", "zone: Asia/Doha", "line 7: countries[0].zones[0].zone: must be a"),
        ('prefix: "+1"\n', 'prefix: "1"\n', "line 10: countries[1].prefix: must be a plus"),
        ('{code: AE, prefix: "+971"', '{code: AE, prefix: "+1"', "countries[1].prefix: is taken"),
        ("+1212", "+2212", "countries[1].zones[0].prefix: must begin with +1"),
        ("code: US", "code: AE", "countries[1].code: is taken"),
        ("code: abroad", "code: XX", "countries[2].prefix: is missing"),
        ("[AE, US], kinds", "[AE, UK], kinds", "line 15: quiet[0].countries: must be a list of AE"),
        ("[informational, marketing], from", "[adverts], from", "quiet[0].kinds: must be a list"),
        ("[informational, marketing], from", "[], from", "[0].kinds: must be a list of at least"),
        ("[informational, marketing], from", "[service, service], from", "service stands twice"),
        ('from: "21:00"', 'from: "25:00"', "quiet[0].from: must be a time of day"),
        ('from: "21:00"', "from: 9pm", "quiet[0].from: must be a time of day"),
        ('from: "21:00"', 'from: "08:00"', "quiet[0].until: is the same as from"),
        ("days: [fri]", "days: [friday]", "quiet[1].days: must be a list of mon"),
        ("during: ramadan", "during: lent", "quiet[2].during: must be ramadan"),
        ("window: 24h", "window: 32d", "caps[0].window: must be at most 31d"),
        ("window: 24h", "window: daily", "caps[0].window: must be a number and"),
        ("most: 2", "most: 0", "caps[0].most: must be a whole number from 1 to 20"),
        ("of: all-agencies", "of: them", "caps[0].of: must be each-agency or all-agencies"),
        ("begins: AD-", "note: none", "marks[0].begins: is missing, and so is ends"),
        ("name: MOH,", "name: Ministry of Health,", "senders[0].name: must be 1-11 letters"),
        ("name: AD-MOH, countries: [AE], kinds: [marketing], replies: false",
         "name: AD-MOH, countries: [AE], kinds: [marketing], replies: true",
         "senders[1].replies: must be false: nobody can reply"),
        ("replies: true", "replies: yes", "senders[2].replies: must be true or false"),
        ("link: https://s.example/o/", "link: http://s.example/o/", "leaving.link: must be https"),
        ("link: https://s.example/o/", "link: https://s.example/o", "leaving.link: must end in /"),
        ('"Stop: {link}"', '"Stop!"', "leaving.wording.link.en: takes {link} once"),
        ('"Stop: {link}"', '"Stop: {link} {link}"', "leaving.wording.link.en: takes {link} once"),
        ('"Call {phone}"', '"Call {phone"', "leaving.wording.phone.en: takes {phone} once"),
        ("en: Reply STOP", 'en: "Reply {word}"', "leaving.wording.reply.en: takes no brace"),
        ('link: {ar: "لإيقاف الرسائل: {link}", ', "link: {", "leaving.wording.link.ar: is missing"),
        ("ur: STOP", "URDU: STOP", "leaving.wording.reply.URDU: must be a language"),
        ("code: everyone", "code: storm", "legal_bases[1].code: is taken"),
        ("ignores: [quiet-hours, caps]", "ignores: [everything]", "bases[0].ignores: must be"),
        ("begins: AD-, source: [law]", "begins: AD-, source: [rumour]", "marks[0].source: must be"),
        ("begins: AD-, source: [law]", "begins: AD-", "[0].source: must be a list of at least"),
        ("forbidden:", "forbiden:", "forbiden: is not known here"),
        ("caps:\n", "caps: many\nrest:\n", "caps: must be a list"),
        ("quiet:\n", "? [quiet]\n: x\nquiet:\n", "a field's name is one word"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_line_field_and_rule(was: str, becomes: str, told: str) -> None:
    assert was in FILE
    with pytest.raises(ConfigError, match=re.escape(told)) as refused:
        parse(FILE.replace(was, becomes, 1), "mine.yaml")
    assert re.match(r"mine\.yaml, line \d+: ", str(refused.value))


def test_a_file_that_is_none() -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml: is empty; it takes"):
        parse("", "mine.yaml")
    with pytest.raises(ConfigError, match=r"mine.yaml, line 1: not YAML"):
        parse("version: [", "mine.yaml")
    with pytest.raises(ConfigError, match="a character that YAML does not allow"):
        parse("version: \0", "mine.yaml")
    with pytest.raises(ConfigError, match="line 1: the file is a mapping"):
        parse("- version", "mine.yaml")


def test_a_government_gives_its_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(FILE)
    assert read(mine).caps[0].lanes == {Lane.BULK}
    with pytest.raises(ConfigError, match=r"MAWJA_SENDING_RULES: .* cannot be read"):
        read(tmp_path / "none.yaml")
