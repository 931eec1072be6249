"""The languages that people write in, as data: one file each, so that adding one is adding a file.

`languages/<code>.yaml` says what shows the language, which words say nothing, which turn a sentence
round, which mean the same, and what is said when a life is in danger. The words are written as
people write them and held in the one spelling of `normalise`.
"""

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from services.dedup.language import Language, Saying, Words
from services.dedup.words import tokens
from services.runtime.errors import ConfigError
from services.runtime.yamls import list_of, texts_of, yaml_files, yaml_of

SCRIPTS = ("arabic", "latin", "devanagari", "bengali", "malayalam")
_NEEDED = {"name", "script", "shows", "stop", "not", "alike", "life_safety", "not_life_safety"}
_ALLOWED = frozenset({"letters"})


def read(folder: Path | None = None) -> tuple[Language, ...]:
    """The languages in `folder`, or the shipped ones. Raises ConfigError naming file and rule."""
    place: Traversable | Path = folder or files(__package__) / "languages"
    found = yaml_files(place)
    if not found:
        raise ConfigError("the languages' folder has no .yaml file; it needs one for each language")
    return tuple(_language(name, text) for name, text in found)


def _language(file: str, text: str) -> Language:
    where = f"languages/{file}"
    given = yaml_of(where, text)
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: names and values, one a line")
    if odd := (_NEEDED - set(given)) | (set(given) - _NEEDED - _ALLOWED):
        raise ConfigError(f"{where}: missing or not known: {', '.join(sorted(map(str, odd)))}")
    name = given["name"]
    if not isinstance(name, dict) or set(name) != {"en", "own"}:
        raise ConfigError(f"{where}: name must be given as en and own")
    if given["script"] not in SCRIPTS:
        raise ConfigError(f"{where}: script must be one of {', '.join(SCRIPTS)}")
    return Language(
        code=file.removesuffix(".yaml"),
        name=name,
        script=given["script"],
        letters=frozenset(texts_of(f"{where}: letters", given.get("letters", []))),
        shows=_single(f"{where}: shows", given["shows"]),
        stop=_single(f"{where}: stop", given["stop"]),
        negations=_single(f"{where}: not", given["not"]),
        alike=_alike(f"{where}: alike", given["alike"]),
        danger=_sayings(f"{where}: life_safety", given["life_safety"]),
        calm=_sayings(f"{where}: not_life_safety", given["not_life_safety"]),
    )


def _alike(where: str, given: object) -> dict[Words, str]:
    meanings: dict[Words, str] = {}
    for number, listed in enumerate(list_of(where, given), start=1):
        name, *words = texts_of(f"{where}, list {number}", listed)
        if not name.startswith("="):
            raise ConfigError(f"{where}, list {number}: must begin with its name, such as =house")
        for word in _spelt(words):
            meanings.setdefault(word, name)
    return meanings


def _sayings(where: str, given: object) -> tuple[Saying, ...]:
    sayings = []
    for number, one in enumerate(list_of(where, given), start=1):
        here = f"{where}, number {number}"
        if not isinstance(one, dict) or set(one) != {"phrase", "why"}:
            raise ConfigError(f"{here}: needs phrase and why, and nothing else")
        places = tuple(
            _spelt(texts_of(here, [place] if isinstance(place, str) else place))
            for place in list_of(f"{here}: phrase", one["phrase"])
        )
        if not places or not all(places):
            raise ConfigError(f"{here}: phrase has nothing that can be found in a text")
        sayings.append(Saying(places, str(one["why"])))
    return tuple(sayings)


def _single(where: str, given: object) -> frozenset[str]:
    return frozenset(token for text in texts_of(where, given) for token in tokens(text))


def _spelt(texts: Iterable[str]) -> frozenset[Words]:
    return frozenset(spelt for text in texts if (spelt := tuple(tokens(text))))
