"""Daily totals by category: of everybody together, and without the small numbers."""

from __future__ import annotations

from gateway.audit.record import canonical, parse
from gateway.audit.totals import DAY, LEAST, Taken
from gateway.categories import Category, Personal


def test_a_day_is_told_once_it_is_over_and_small_numbers_are_not() -> None:
    """n-1 findings are left out, n are told; ordinary personal data is not counted; the next day begins at nothing."""
    taken = Taken()
    assert taken.due(7 * DAY + 5) is None
    taken.add(Category.HEALTH, LEAST)
    taken.add(Category.RELIGION_BELIEF, LEAST - 1)
    taken.add(Personal.EMAIL, 500)
    assert taken.due(8 * DAY - 1) is None

    act = taken.due(8 * DAY)

    assert act is not None
    assert (act.start, act.totals) == (7 * DAY, ((Category.HEALTH, LEAST),))
    assert parse(canonical(act)) == act
    following = taken.due(9 * DAY)
    assert following is not None
    assert following.totals == ()


def test_who_ends_tells_what_there_is() -> None:
    """At the end the day so far is told, if there is anything to tell."""
    taken = Taken()
    assert taken.due(7 * DAY, ending=True) is None
    for category in Category:
        taken.add(category, LEAST + 1)

    act = taken.due(7 * DAY + 9, ending=True)

    assert act is not None
    assert act.totals is not None
    assert len(act.totals) == len(Category)
    assert parse(canonical(act)) == act
