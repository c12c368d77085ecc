"""Lines of text in columns."""

from brushbench.core.columns import columns


def test_every_column_is_as_wide_as_its_longest_cell() -> None:
    assert columns([("name", "unit", "what"), ("a", "", "a long text"), ("longer", "dB", "")]) == [
        "name    unit  what",
        "a             a long text",
        "longer  dB",
    ]


def test_rows_of_one_cell_and_none_at_all() -> None:
    assert columns([("a",), ("longer",)]) == ["a", "longer"]
    assert columns([]) == []
