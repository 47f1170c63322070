"""What a benchmark found: figures with their goals, as lines for a person and as JSON."""

from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Bound:
    """A figure is at most (or at least) this value."""

    relation: str  # "<=" or ">="
    value: float

    def holds(self, value: float) -> bool:
        return value <= self.value if self.relation == "<=" else value >= self.value

    def __str__(self) -> str:
        return f"{self.relation} {_short(self.value)}"


def at_most(value: float) -> Bound:
    return Bound("<=", value)


def at_least(value: float) -> Bound:
    return Bound(">=", value)


@dataclass
class Figure:
    """One measured value. The goal is what the project wants on a quiet machine. The limit is wide: --check fails
    beyond it, on a noisy machine and with --short too."""

    name: str
    value: float
    unit: str = ""
    goal: Bound | None = None
    limit: Bound | None = None
    rounds: list[float] = field(default_factory=list)  # the value is their median

    def line(self) -> str:
        text = f"  {self.name:<58} {_short(self.value):>10} {self.unit:<12}"
        if self.goal:
            text += f" wanted {str(self.goal):<10} {'met' if self.goal.holds(self.value) else 'NOT MET'}"
        if len(self.rounds) > 1:
            text += f"  ({_short(min(self.rounds))} to {_short(max(self.rounds))})"
        return text.rstrip()

    def beyond_limit(self) -> bool:
        return self.limit is not None and not self.limit.holds(self.value)

    def as_json(self) -> dict[str, object]:
        made: dict[str, object] = {"name": self.name, "value": self.value, "unit": self.unit}
        if self.goal:
            made |= {"goal": str(self.goal), "met": self.goal.holds(self.value)}
        if self.limit:
            made |= {"limit": str(self.limit), "within": self.limit.holds(self.value)}
        if self.rounds:
            made["rounds"] = self.rounds
        return made


def of_rounds(name: str, rounds: list[float], unit: str = "", goal: Bound | None = None,
              limit: Bound | None = None) -> Figure:
    """The median of the rounds."""
    return Figure(name, median(rounds), unit, goal, limit, rounds)


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Round by round, because the two sides of a round saw the same noise."""
    if 0 in below:
        raise ZeroDivisionError("one side of a ratio was measured as 0: it has too few calls to be seen")
    return [a / b for a, b in zip(above, below, strict=True)]


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def _short(value: float) -> str:
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 0.1 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
