"""What happened, as noted in the hot path and told later by the speaker?"""

from __future__ import annotations

from tests.unit.stand_ins import delivery


def test_two_deliveries_of_one_message_are_two():
    """An id may run twice at once, after a visibility timeout."""
    assert len({delivery(), delivery()}) == 2


def test_a_delivery_has_begun_when_a_pool_took_it():
    assert (delivery().begun, delivery(ran=None).begun) == (True, False)
