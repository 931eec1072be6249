"""How long the oldest record waits, bounded from what a worker knows."""

from services.runtime.oldest import Oldest

PLACE = ("intake.contact-accepted.v1", 0)


def test_an_idle_room_is_not_behind_when_its_next_record_comes() -> None:
    oldest = Oldest()
    oldest.look(PLACE, 0, 1_000)
    oldest.look(PLACE, 1, 3_600_000)
    assert oldest.age_s(3_600_500) == 0.5


def test_it_grows_while_nothing_is_worked_and_falls_with_what_is() -> None:
    oldest = Oldest()
    oldest.look(PLACE, 5, 10_000)
    oldest.look(PLACE, 9, 70_000)
    assert oldest.age_s(70_000) == 60
    oldest.worked(PLACE, 65_000)
    assert oldest.age_s(70_000) == 5


def test_a_record_of_long_ago_does_not_make_the_next_one_older() -> None:
    oldest = Oldest()
    oldest.look(PLACE, 2, 100_000)
    oldest.worked(PLACE, 5_000)
    assert oldest.age_s(101_000) == 1


def test_nothing_waits_once_all_is_worked_or_the_partition_is_given_up() -> None:
    oldest = Oldest()
    oldest.look(PLACE, 2, 1_000)
    oldest.look(PLACE, 0, 2_000)
    assert oldest.age_s(9_000) == 0
    oldest.look(PLACE, 2, 10_000)
    oldest.keep({("intake.contact-accepted.v1", 1)})
    assert oldest.age_s(90_000) == 0


def test_the_oldest_of_all_places_counts_and_never_below_nothing() -> None:
    oldest = Oldest()
    oldest.look(PLACE, 1, 20_000)
    oldest.look(("other", 0), 1, 5_000)
    assert oldest.age_s(25_000) == 20
    assert oldest.age_s(1_000) == 0
