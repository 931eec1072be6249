"""A scorecard as a message. Pure."""

from mawja.reports.v1.service_pb2 import Figures, Group, Grouping, Scorecard, Target

from services.tools.scorecards.calls import Counted
from services.tools.scorecards.figures import TARGETS, Card, Sums
from services.tools.scorecards.grouping import By

BY: dict["Grouping.ValueType", By] = {
    Grouping.GROUPING_LINE: "line",
    Grouping.GROUPING_AGENCY: "agency",
    Grouping.GROUPING_LANGUAGE: "language",
    Grouping.GROUPING_HOUR: "hour",
}


def of_agency(agency: str, counted: Counted) -> bool:
    """Whether it counts where only `agency` is seen; "" sees all."""
    return not agency or counted.labels.agency == agency


def scorecard(card: Card, others: int, made_ms: int) -> Scorecard:
    """The card as it is sent; see the proto."""
    return Scorecard(
        whole=_figures(card.whole),
        groups=[
            Group(
                code="" if isinstance(key, int) else str(key),
                hour_ms=key if isinstance(key, int) else 0,
                figures=_figures(card.groups[key]),
            )
            for key in sorted(card.groups, key=lambda key: (str(type(key)), key))
        ],
        targets=[
            Target(figure=name, least=target.least, most=target.most)
            for name, target in TARGETS.items()
        ],
        made_ms=made_ms,
        others=others,
    )


def _figures(sums: Sums) -> Figures:
    return Figures(**{name: value for name, value in sums.figures().items() if value is not None})
