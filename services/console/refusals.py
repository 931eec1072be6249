"""Why a room did not do it, in the language of who reads it.

Rooms speak English sentences: some always the same, which the catalogue holds as they are, some
with a name or number in them, which a pattern finds. What nobody knows is shown as it came. A test
collects what the rooms of cases, outreach and intake say, and demands that it is known here.
"""

import re
from collections.abc import Callable

from services.console.words import N_

SENTENCES = (
    N_("a liaison sees callbacks of their own agency only"),
    N_("a liaison sees cases of their own agency only"),
    N_("a liaison sees the cases of their own agency only"),
    N_("a liaison sees their own agency only, and this token names none"),
    N_("another agent has it"),
    N_("at least one contact must stay: leave one out"),
    N_("name the contacts that become a case of their own"),
    N_("no such contact in the last 7 days"),
    N_("nothing of such a case is handed over that you may see"),
    N_("one of these contacts is not in the case: ask again"),
    N_(
        "promised_until_ms: must be after now and after promised_from_ms, which is at most 7 days "
        "from now"
    ),
    N_("the case is not resolved: nobody is asked how well it was"),
    N_("the case is not resolved: nothing to reopen"),
    N_("the case is resolved already"),
    N_("the case is resolved: reopen it first"),
    N_("the person gave no number"),
    N_("the person's number was erased"),
    N_("the words of this contact were erased"),
    N_("there is no such announcement"),
    N_("there is no such callback that you may see"),
    N_("there is no such case"),
    N_("there is no such case that you may see"),
    N_("there is no such case to merge into this one"),
    N_("there is no such incident"),
    N_("there is no such playbook"),
    N_("there is no such proposal that you may see"),
    N_("you see callbacks of your own agency only"),
    N_("you see your own exercises only"),
    N_("a case can't be merged into itself: name two"),
    N_("the two are merged already"),
    N_("one of the two is a rehearsal and the other is not: they stay apart"),
    N_("one of the two is made of records of past calls: they stay apart"),
    N_("another person's case is merged into it: split that first, or merge the other way"),
    N_("it was accepted already: see the campaign"),
    N_("it was declined: make a campaign by hand"),
    N_("its burst, or the time to decide, is over: make a campaign by hand"),
    N_("it was changed meanwhile: look at it again"),
    N_("nothing is handed over that waits"),
    N_("there is no such callback"),
    N_("whoever asked for it does not wait any more"),
    N_("it is another agent's exercise"),
)
"""Sentences without a name or number in them."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), form)
    for pattern, form in (
        (
            r"the case is with (?P<agency>\S+): only a service of that agency can be said",
            N_("the case is with {agency}: only a service of that agency can be said"),
        ),
        (
            r"the case was merged into (?P<case>\S+): ask for that one",
            N_("the case was merged into {case}: ask for that one"),
        ),
        (
            r"it has more than (?P<most>[\d,]+) contacts: merge the smaller case into it",
            N_("it has more than {most} contacts: merge the smaller case into it"),
        ),
        (
            r"it belongs to (?P<work>.+), and you asked for (?P<other>.+)",
            N_("it belongs to {work}, and you asked for {other}"),
        ),
        (
            r"you have the callback of case (?P<case>\S+): end it or give it back first",
            N_("you have the callback of case {case}: end it or give it back first"),
        ),
        (
            r"you have a callback of (?P<work>.+) \(case (?P<case>\S+)\): end it or give it back "
            r"first",
            N_("you have the callback of case {case}: end it or give it back first"),
        ),
        (
            r"its contacts are in (?P<case>\S+): name those that become a case of their own",
            N_("its contacts are in {case}: name those that become a case of their own"),
        ),
        (
            r"it has no text \((?P<languages>.+)\): write one \(`mawja proposal edit`\)",
            N_("it has no text ({languages}): write one"),
        ),
        (
            r"this request (?:said something else|set another one): (?P<fields>.+) differ",
            N_("this request said something else before: {fields} differ"),
        ),
        (
            r"the caller's roles may not call (?P<deed>\w+)",
            N_("your roles may not do this ({deed})"),
        ),
    )
)


def told(sentence: str, gettext: Callable[[str], str]) -> str:
    """`sentence` by the catalogue behind `gettext`."""
    for pattern, form in _PATTERNS:
        if (match := pattern.fullmatch(sentence)) is not None:
            return gettext(form).format(**match.groupdict())
    return gettext(sentence)
