"""How lists of recipients are laid out for a terminal: what is in one, and who. Pure."""

from collections.abc import Sequence
from datetime import tzinfo

from mawja.broadcast.v1 import campaigns_pb2
from mawja.broadcast.v1.audiences_pb2 import AudiencePreview
from mawja.broadcast.v1.campaigns_pb2 import AudienceFile, CampaignPlan
from rich.console import RenderableType
from rich.text import Text

from services.broadcast.texts.template import TemplateError, parse
from services.tools.campaigns import tables
from services.tools.campaigns.words import said, when


def file(audience: AudienceFile, zone: tzinfo | None = None) -> tables.Lines:
    """A list of recipients."""
    drill = ", for drills only" if audience.drill else ""
    by = audience.uploaded
    came = "asked for" if audience.query else "brought"
    found: tables.Lines = [
        Text(said(audience.name), style="bold"),
        Text(audience.audience_id),
        Text(f"{came} by {said(by.subject)}, {when(by.done_ms, zone)}{drill}"),
    ]
    if audience.query:
        found.append(Text(said(audience.query), overflow="fold"))
        found.append(Text("as it was at that moment; who came later is not in it", style="dim"))
    spoken = tables.languages(audience.languages)
    found.append(Text(f"{audience.recipients:,} recipients: {spoken}"))
    if audience.bad_rows:
        rows = ", ".join(f"{rule} {count:,}" for rule, count in sorted(audience.bad_rows.items()))
        found.append(Text(f"rows that could not be read: {rows}", style="yellow"))
    if audience.columns:
        found += _columns(audience)
    if audience.exclusions:
        found.append(tables.excluded(audience.exclusions))
    return found


def _columns(audience: AudienceFile) -> tables.Lines:
    """What the columns of a file were taken for."""
    found: tables.Lines = []
    named = {
        use: [said(one.name) for one in audience.columns if one.use == use]
        for use in (
            campaigns_pb2.COLUMN_USE_NUMBER,
            campaigns_pb2.COLUMN_USE_LANGUAGE,
            campaigns_pb2.COLUMN_USE_FIELD,
        )
    }
    numbers, languages, fields = named.values()
    told = f"numbers: column {', '.join(numbers)}; languages: "
    told += f"column {', '.join(languages)}" if languages else "no column, so nobody's is known"
    found.append(Text(told, overflow="fold"))
    texts = " ".join(f"{{{name}}}" for name in fields) or "nothing"
    found.append(Text(f"texts may name: {texts}", overflow="fold"))
    return found


def strange(plan: CampaignPlan, files: Sequence[AudienceFile]) -> tables.Lines:
    """Placeholders of a plan that are no column of its lists, one a line; none where it is not
    known what columns they have."""
    if not files or any(not (one.columns or one.query) for one in files):
        return []
    there = {column.name for one in files for column in one.columns}
    found: dict[str, Text] = {}
    for text in (*plan.texts, *plan.corrections):
        try:
            fields = parse(text.language, text.template).fields
        except TemplateError:
            continue
        for field in fields:
            if field.name not in there:
                line = f"look again: {{{field.name}}} is no column of the list"
                found.setdefault(field.name, Text(said(line), style="yellow"))
    return list(found.values())


def preview(seen: AudiencePreview) -> tables.Lines:
    """Who is in an audience, and who is not."""
    found: tables.Lines = [
        Text(f"to {said(seen.query)}", overflow="fold"),
        Text(f"{seen.people:,} people: {tables.languages(seen.languages)}"),
    ]
    if seen.opted_out:
        line = f"{seen.opted_out:,} of them want no messages now: only an emergency may reach them"
        found.append(Text(line, style="yellow"))
    if seen.exclusions:
        found.append(tables.excluded(seen.exclusions))
    if seen.samples:
        examples = tables.figures("for example", "language")
        for one in seen.samples:
            examples.add_row(one.masked_number, one.language or "not said")
        found.append(examples)
    return found


def many(some: Sequence[AudienceFile], zone: tzinfo | None = None) -> RenderableType:
    """Lists, a line each; ids as short as tells them apart."""
    if not some:
        return Text("no lists")
    length = tables.short_length([one.audience_id for one in some])
    table = tables.figures("id", "", "recipients", "made", "by", "name")
    # A person types it: of all columns this one keeps its letters on a narrow terminal.
    table.columns[0].min_width = length
    for one in some:
        table.add_row(
            one.audience_id[:length],
            Text(" DRILL ", style="black on yellow") if one.drill else "",
            f"{one.recipients:,}",
            when(one.uploaded.done_ms, zone),
            Text(said(one.uploaded.subject)),
            Text(said(one.name)),
        )
    return table
