"""What a partition knows of its cases: each as it stands, its words, and whose it is. Pure."""

from collections.abc import Sequence

from services.dedup import words
from services.dedup.case import Case
from services.dedup.signs import NONE, CaseSigns, Signs, unpack_case
from services.runtime.erased import ErasedPersons

# A person's cases that a contact is held against, the latest first.
_CANDIDATES = 32


def key_of(uuid: str) -> bytes:
    """The 16 bytes of a UUID in canonical text form. Raises ValueError for anything else."""
    if len(uuid) != 36 or uuid.count("-") != 4:
        raise ValueError("not a UUID")
    return bytes.fromhex(uuid.replace("-", ""))


def uuid_of(key: bytes) -> str:
    """The inverse of `key_of`."""
    text = key.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class Known:
    """The cases by number, in the order in which they were opened; kept serialised."""

    def __init__(self, erased: ErasedPersons | None = None) -> None:
        self._erased = ErasedPersons() if erased is None else erased
        self.shapes: list[bytes] = []
        """The words of each case's contacts, packed."""
        self.signs: list[bytes] = []
        """What the words of each case's contacts are signs of, packed (`signs.CaseSigns`)."""
        self.of_person: dict[bytes, int | list[int]] = {}
        """The case of a person, or their cases in order of opening."""
        self.went: dict[int, int] = {}
        """Where a case's contacts went when a person merged it. It is still compared with: what was
        like it then is like it now."""
        self._cases: list[bytes] = []
        self._number_of: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._cases)

    def serialised(self, number: int) -> bytes:
        """A case as it stands, serialised."""
        return self._cases[number]

    def number_of(self, case_id: str) -> int | None:
        """The number of a case, or None when there is none of this id."""
        try:
            return self._number_of.get(key_of(case_id))
        except ValueError:
            return None

    def add(self, case: Case, shape: Sequence[int], signs: Signs = NONE) -> None:
        """A case that was opened now. It stands as soon as it is stored."""
        number = len(self._cases)
        self._cases.append(b"")
        self.shapes.append(words.pack(shape))
        self.signs.append(CaseSigns().joined(signs).pack())
        self._number_of[key_of(case.case_id)] = number
        if not case.person:
            return
        cases = self.of_person.get(case.person)
        if cases is None:
            self.of_person[case.person] = number
        elif isinstance(cases, int):
            self.of_person[case.person] = [cases, number]
        else:
            cases.append(number)

    def add_words(self, number: int, shape: Sequence[int], signs: Signs = NONE) -> None:
        """A further contact of the case has these words and signs."""
        if signs.services:
            self.signs[number] = unpack_case(self.signs[number]).joined(signs).pack()
        if shape:
            merged = words.bounded([*words.unpack(self.shapes[number]), *shape])
            self.shapes[number] = words.pack(merged)

    def store(self, number: int, case: Case) -> None:
        """The case stands like this from now on."""
        self._cases[number] = case.SerializeToString()

    def stays(self, number: int) -> int:
        """The case that what is like this one joins: itself, or where it was merged into."""
        while number in self.went:
            number = self.went[number]
        return number

    def copy_words(self, number: int, source: int) -> None:
        """A case has the words and signs of another one."""
        self.shapes[number], self.signs[number] = self.shapes[source], self.signs[source]

    def candidates(self, person: bytes) -> list[int]:
        """The latest cases of a person; none of somebody who can't be known, and none from before
        the person was erased: who reaches out again begins anew."""
        cases = self.of_person.get(person) if person else None
        if cases is None:
            return []
        latest = [cases] if isinstance(cases, int) else cases[-_CANDIDATES:]
        if person not in self._erased:
            return latest
        return [number for number in latest if not self._gone(number)]

    def _gone(self, number: int) -> bool:
        """Whether the person of a case, or of the one that it was merged into, was erased since."""
        case = Case.FromString(self._cases[self.stays(number)])
        return self._erased.gone(case.sealed_number)
