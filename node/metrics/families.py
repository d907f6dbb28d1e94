"""One metric: its name, its help, its labels, its samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from node.ledger.meters import BOUNDS, Meter

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
Samples = Iterable[tuple[Sequence[str], float]]
"""The values of the labels, and the number."""

PREFIX = "deid_node_"


def gauge(name: str, text: str, labels: Sequence[str], samples: Samples) -> Family:
    """Return a number that goes up and down."""
    return _filled(GaugeMetricFamily(PREFIX + name, text, labels=labels), samples)


def counter(name: str, text: str, labels: Sequence[str], samples: Samples) -> Family:
    """Return a number that only grows; the format adds `_total` to its name."""
    return _filled(CounterMetricFamily(PREFIX + name, text, labels=labels), samples)


def value(name: str, text: str, number: float | None) -> Family:
    """Return a gauge without labels; without a sample where the number is None."""
    return gauge(name, text, (), () if number is None else [((), number)])


def histogram(
    name: str, text: str, labels: Sequence[str], found: Mapping[tuple[str, ...], Mapping[int, Meter]]
) -> Family:
    """Return a histogram over `node.ledger.meters.BOUNDS`, of what each bucket alone has, by the values of labels."""
    family = HistogramMetricFamily(PREFIX + name, text, labels=labels)
    bounds = [*map(str, BOUNDS), "+Inf"]
    for values, buckets in found.items():
        counted, upto = 0, []
        for place, bound in enumerate(bounds):
            counted += buckets.get(place, Meter()).n
            upto.append((bound, float(counted)))
        total = sum(one.total for one in buckets.values())
        family.add_metric(list(values), upto, total)
    return family


def _filled(family: CounterMetricFamily | GaugeMetricFamily, samples: Samples) -> Family:
    for values, number in samples:
        family.add_metric(list(values), number)
    return family
