"""How do a table's columns become numbers that a detector can use?

Numbers stay what they are, a missing one becomes the median; a text becomes how rare it is, minus the logarithm of its
share of the fitted rows, so that it means the same to every detector. Invariant: everything is learned from the fitted
rows, so that a row is encoded by itself. What columns of text have to do with each other is lost. Partner:
`models/detectors.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models import base

Floats = npt.NDArray[np.float64]
Column = npt.NDArray[Any]


class TableEncoder:
    """Columns of numbers and of text as one matrix.

    Attributes:
        names_: columns used, in their order.
        constant_: columns left out because all their fitted values are the same.
        n_filled_: per column, fitted values that were missing.
    """

    def fit(self, columns: Mapping[str, Column]) -> Self:
        """This encoder, fitted.

        Args:
            columns: name to values, float64 with NaN where missing, or objects (text) with None where missing.

        Returns:
            self.

        Raises:
            ModelError: no row, or no column with two different values.
        """
        n_rows = len(next(iter(columns.values()), ()))
        if not n_rows:
            raise base.TooFewRows("the table has no rows. Pass rows to learn from.")
        self.names_: list[str] = []
        self.constant_: list[str] = []
        self.medians_: dict[str, float] = {}
        self.shares_: dict[str, dict[Any, float]] = {}
        self.n_filled_: dict[str, int] = {}
        self.n_rows_ = n_rows
        for name, values in columns.items():
            is_text = values.dtype == object
            if is_text:
                counts = Counter(values.tolist())
                self.shares_[name] = {value: count / n_rows for value, count in counts.items()}
            else:
                present = values[np.isfinite(values)]
                self.medians_[name] = float(np.median(present)) if len(present) else 0.0
                self.n_filled_[name] = n_rows - len(present)
            encoded = self._encoded(name, values)
            # Texts that are all equally rare are constant too: a detector could not tell them apart.
            (self.constant_ if (encoded == encoded[0]).all() else self.names_).append(name)
        if not self.names_:
            raise base.ModelError(
                f"no column has two different values: {', '.join(self.constant_)}. Pass columns that vary."
            )
        return self

    def transform(self, columns: Mapping[str, Column]) -> Floats:
        """Rows as numbers.

        Args:
            columns: as for `fit`, the columns in use among them.

        Returns:
            (n_rows, len(names_)) float64, finite.

        Raises:
            ColumnMismatch: a column is missing, or is text where it was numbers.
        """
        missing = [name for name in self.names_ if name not in columns]
        if missing:
            raise base.ColumnMismatch(f"the table lacks {', '.join(missing)}, which were learned from. Add them.")
        for name in self.names_:
            if (columns[name].dtype == object) != (name in self.shares_):
                raise base.ColumnMismatch(
                    f"column {name} has text in one table and numbers in the other. Make them alike."
                )
        return np.column_stack([self._encoded(name, columns[name]) for name in self.names_])

    def _encoded(self, name: str, values: Column) -> Floats:
        if name in self.shares_:
            unseen = 1.0 / (self.n_rows_ + 1)
            share = np.array([self.shares_[name].get(value, unseen) for value in values.tolist()], dtype=np.float64)
            rarity: Floats = -np.log(share)
            return rarity
        numbers: Floats = np.where(np.isfinite(values), values, self.medians_[name])
        return numbers
