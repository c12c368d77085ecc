"""Work in threads, of which little is begun at a time."""

from collections.abc import Iterator

import pytest

from brushbench.core.concurrency import WINDOW, one_by_one


def test_results_come_in_order_while_few_items_are_begun() -> None:
    begun: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10 * WINDOW):
            begun.append(item)
            yield item

    found = []
    for result in one_by_one(lambda item: item * item, items()):
        found.append(result)
        assert len(begun) - len(found) < WINDOW
    assert found == [item * item for item in range(10 * WINDOW)]


def test_an_error_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        list(one_by_one(lambda item: 1 // item, [1, 0, 1]))


def test_no_item_has_no_result() -> None:
    assert list(one_by_one(str, [])) == []
