"""Tables of result pages: headings, rows of cells, and how a cell is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from markupsafe import Markup


@dataclass(frozen=True)
class Table:
    """Column headings and rows of cells: numbers, plain text or Markup."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @classmethod
    def from_records(cls, records: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Self:
        """One row per record and one column per key; ``columns`` chooses and orders them."""
        keys = columns or (list(records[0]) if records else ())
        heads = [key.replace("_", " ") for key in keys]
        return cls(heads, [[record[key] for key in keys] for record in records])


def shown(cell: Any) -> Any:
    """A float with three decimals, a dash for None, everything else as it is."""
    if cell is None:
        return "–"
    return f"{cell:.3f}" if isinstance(cell, float) else cell


def marked(text: str, css_class: str) -> Markup:
    """Escaped text with a class of the page's style sheet: hit, miss or best."""
    return Markup("<span class='{}'>{}</span>").format(css_class, text)
