"""What codes are called in a reader's language, by dedup's catalogue: agencies, services, places,
languages; and the steps of procedures. Pure.

A code that nobody has named stands for itself: a page that shows "moh-3" is of use, one that hides
it is not.
"""

from collections.abc import Callable, Mapping

from babel import Locale, UnknownLocaleError
from mawja.dedup.v1 import service_pb2 as dedup

from services.console.naming import LANGUAGES


class Catalogue:
    """What dedup answered, in one language ("ar", "en")."""

    def __init__(self, answer: dedup.GetCatalogueResponse, language: str) -> None:
        self._language = language
        self.agencies = {one.agency: one for one in answer.agencies}
        self.services = {of.topic: of for one in answer.agencies for of in one.services}
        self.places = {one.place: one for one in answer.places}

    def agency(self, code: str) -> str:
        """The name of an agency; its code when it is not in the catalogue."""
        found = self.agencies.get(code)
        return self._name(found.names, code) if found is not None else code

    def topic(self, code: str) -> str:
        """The name of a service; its code when it is not in the catalogue."""
        found = self.services.get(code)
        return self._name(found.names, code) if found is not None else code

    def place(self, name: str) -> str:
        """The name of a place, by its English one, which is said where no other is known."""
        found = self.places.get(name)
        return self._name(found.names, name) if found is not None else name

    def language(self, code: str, say: Callable[[str], str]) -> str:
        """What a language is called, by `say` in the reader's own: those that centres speak as all
        pages do, others as the world's list of languages has them."""
        if known := LANGUAGES.get(code):
            return say(known)
        try:
            return Locale.parse(code, sep="-").get_display_name(self._language) or code
        except (UnknownLocaleError, ValueError):
            return code

    def service(self, code: str) -> dedup.CatalogueService | None:
        """A service."""
        return self.services.get(code)

    def steps(self, code: str) -> list[str]:
        """The steps of a service's procedure."""
        found = self.services.get(code)
        return [self._name(step.texts, "") for step in found.steps] if found is not None else []

    def _name(self, names: Mapping[str, str], otherwise: str) -> str:
        return names.get(self._language) or names.get("en") or otherwise
