"""How numbers read in sentences and tables: one spelling of per cent, of ranges and of p-values."""

from ferjax.evaluation.intervals import Interval

__all__ = ["against", "percent", "portion", "span"]


def percent(share: float, decimals: int = 0) -> str:
    """A share in per cent.

    >>> percent(0.262, 1), percent(0.05)
    ('26.2 %', '5 %')
    """
    return f"{100 * share:.{decimals}f} %"


def portion(share: float) -> str:
    """A share in words where there are some, else in per cent.

    >>> portion(1 / 3), portion(0.25), portion(0.3)
    ('a third', 'a quarter', '30 %')
    """
    words = {1 / 2: "half", 1 / 3: "a third", 1 / 4: "a quarter", 1 / 5: "a fifth"}
    return next((w for of, w in words.items() if abs(share - of) < 1e-6), percent(share))


def span(figure: Interval, decimals: int = 2) -> str:
    """A figure with its interval.

    >>> span(Interval(0.5, 0.4, 0.6))
    '0.50, 95 % interval 0.40 to 0.60'
    """
    value, low, high = (f"{x:.{decimals}f}" for x in (figure.value, figure.low, figure.high))
    return f"{value}, 95 % interval {low} to {high}"


def against(one: float, other: float) -> str:
    """Two figures with as few decimals, two at least, as tell them apart.

    >>> against(0.7, 0.4), against(0.9961, 0.9958)
    ('0.70 against 0.40', '0.9961 against 0.9958')
    """
    for decimals in range(2, 5):
        texts = f"{one:.{decimals}f}", f"{other:.{decimals}f}"
        if texts[0] != texts[1]:
            break
    return " against ".join(texts)
