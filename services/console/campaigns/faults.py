"""What is wrong with a form, said at the field that it is about. Pure.

A fault is an English sentence with named places, so that the page says it in the reader's language:
``Fault("must be at most {most} bytes", most=200)``. What a service finds wrong comes with its own
name of the field and is brought back to the form's by the caller.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from services.console.campaigns.sentences import translated


@dataclass(frozen=True, slots=True)
class Fault:
    """A rule that a field breaks. `text`: English, with places in braces; `given` fills them."""

    text: str
    given: tuple[tuple[str, str], ...] = ()

    def said(self, gettext: Callable[[str], str]) -> str:
        """The sentence in the language of `gettext`."""
        if not self.given:
            return translated(self.text, gettext)
        return gettext(self.text).format(**dict(self.given))


class Faults:
    """The faults of one form, by its field; "" is the form as a whole."""

    def __init__(self) -> None:
        self._found: dict[str, list[Fault]] = {}

    def add(self, field: str, text: str, **given: object) -> None:
        """One more, each sentence once a field."""
        fault = Fault(text, tuple((name, str(value)) for name, value in given.items()))
        known = self._found.setdefault(field, [])
        if fault not in known:
            known.append(fault)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __contains__(self, field: object) -> bool:
        return field in self._found

    def of(self, field: str) -> list[Fault]:
        """Those of one field."""
        return self._found.get(field, [])

    def fields(self) -> list[str]:
        """The fields that have one, in the order in which they were found."""
        return list(self._found)

    def take(
        self, violations: Iterable[tuple[str, str]], field_of: Callable[[str], str]
    ) -> "Faults":
        """Takes what a service found wrong: its fields and rules. `field_of`: the form's name of a
        service's field, "" where the form has none; then the sentence says the field itself."""
        for field, rule in violations:
            own = field_of(field)
            self.add(own, rule if own else f"{field}: {rule}" if field else rule)
        return self

    def said(self, gettext: Callable[[str], str]) -> Mapping[str, list[str]]:
        """All of them in the language of `gettext`."""
        return {
            field: [one.said(gettext) for one in faults] for field, faults in self._found.items()
        }
