"""How a finding's figure and limit are said. Pure, given the words."""

from collections.abc import Mapping

from services.tools.afteraction.findings import Finding
from services.tools.afteraction.saying import Saying


def told(finding: Finding, text: Mapping[str, str], saying: Saying) -> str:
    """One of the rule's texts, filled in."""
    unit, limit = finding.rule.unit, finding.rule.limit
    return text[saying.words.language].format(
        value=_said(finding.value, unit, saying),
        limit=saying.limit(limit) if unit == "share" else _said(limit, unit, saying),
    )


def _said(value: float, unit: str, saying: Saying) -> str:
    match unit:
        case "share":
            return saying.share(value)
        case "seconds":
            return saying.seconds(value)
        case "times":
            return saying.words.decimal(value)
        case _:
            return saying.words.number(round(value))
