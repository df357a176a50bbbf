"""Each conversation has a place in the room."""

from __future__ import annotations

from voice_mcp.core.seating import SEATS, Seating


def test_a_place_that_is_set_is_everybodys() -> None:
    seating = Seating(-0.4)

    assert {seating.pan("one"), seating.pan("another")} == {-0.4}


def test_two_conversations_sit_at_two_places() -> None:
    seating = Seating("auto")
    places = [seating.pan(f"conversation-{index}") for index in range(len(SEATS))]

    assert sorted(places) == sorted(SEATS)


def test_a_conversation_keeps_its_place() -> None:
    seating = Seating("auto")
    first = seating.pan("one")
    for index in range(len(SEATS) - 1):
        seating.pan(f"another-{index}")
        assert seating.pan("one") == first


def test_a_conversation_has_the_same_place_in_every_process() -> None:
    assert Seating("auto").pan("one") == Seating("auto").pan("one")


def test_when_all_places_are_taken_the_longest_silent_one_is_given_to_the_newcomer() -> None:
    seating = Seating("auto")
    places = [seating.pan(f"conversation-{index}") for index in range(len(SEATS))]
    seating.pan("conversation-0")

    assert seating.pan("newcomer") == places[1]


def test_a_reserved_place_is_kept_and_taken_from_whoever_sat_there() -> None:
    seating = Seating("auto")
    seating.pan("newcomer")
    seating.reserve("regular", SEATS.index(seating.pan("newcomer")))

    assert seating.pan("regular") != seating.pan("newcomer")
    assert seating.pan("regular") == seating.pan("regular")


def test_a_place_that_is_set_is_also_that_of_who_has_reserved_another() -> None:
    seating = Seating(0.25)
    seating.reserve("regular", 0)

    assert seating.pan("regular") == 0.25
