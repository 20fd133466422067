"""Windows: rectangles of whole pixels on a named level of a scene."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Height and width in pixels, both at least 1."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            msg = f"a size must be at least 1 x 1 px, got {self.height} x {self.width}"
            raise ValueError(msg)

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    def at_level(self, level: int) -> Size:
        """The size of the level that halves this one `level` times, partial pixels counted whole."""
        step = 1 << level
        return Size(-(-self.height // step), -(-self.width // step))


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A rectangle of whole pixels of one level: rows `[row, row + height)`, columns `[col, col + width)`.

    Level 0 is full resolution; one pixel of level L covers exactly `2**L x 2**L` pixels of level 0,
    the first of them at row 0, column 0. A window may reach outside the scene: readers pad it.
    """

    row: int
    col: int
    height: int
    width: int
    level: int = 0

    def __post_init__(self) -> None:
        values = (self.row, self.col, self.height, self.width, self.level)
        if not all(isinstance(value, int) for value in values):
            msg = f"a window takes whole pixels (int), got {values}"
            raise TypeError(msg)
        if self.height < 1 or self.width < 1 or self.level < 0:
            msg = f"a window needs height, width >= 1 and level >= 0, got {values}"
            raise ValueError(msg)

    @property
    def row_stop(self) -> int:
        """First row below the window."""
        return self.row + self.height

    @property
    def col_stop(self) -> int:
        """First column right of the window."""
        return self.col + self.width

    @property
    def area(self) -> int:
        """Number of pixels, of the window's own level."""
        return self.height * self.width

    def at_full_resolution(self) -> Window:
        """The same ground on level 0."""
        step = 1 << self.level
        return Window(self.row * step, self.col * step, self.height * step, self.width * step)

    def intersection(self, other: Window) -> Window | None:
        """The common rectangle of two windows of one level, or None where they do not overlap.

        Raises:
            ValueError: the windows lie on different levels.
        """
        if self.level != other.level:
            msg = f"windows of levels {self.level} and {other.level} cannot be intersected"
            raise ValueError(msg)
        row, col = max(self.row, other.row), max(self.col, other.col)
        height = min(self.row_stop, other.row_stop) - row
        width = min(self.col_stop, other.col_stop) - col
        if height < 1 or width < 1:
            return None
        return Window(row, col, height, width, self.level)

    def clip(self, size: Size) -> Window | None:
        """The part inside a level of that size, or None."""
        return self.intersection(Window(0, 0, size.height, size.width, self.level))

    def expand(self, margin: int) -> Window:
        """The window grown by `margin` pixels on each side."""
        return Window(
            self.row - margin, self.col - margin, self.height + 2 * margin, self.width + 2 * margin, self.level
        )
