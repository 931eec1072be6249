"""The local run agrees with its SMS centre on what one agrees on with a carrier."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from services.broadcast import routes
from services.broadcast.carriers.specs import SmppAccount
from services.runtime.smpp_text import Alphabet
from services.tools.local import make_system, write_carriers


@pytest.mark.parametrize(
    ("profile", "id_format", "alphabet"),
    [
        ("default", "same", Alphabet.GSM7),
        ("slow", "same", Alphabet.LATIN1),
        ("hostile", "hex_to_dec", Alphabet.GSM7),
        ("own", "dec_to_hex", Alphabet.GSM7),
    ],
)
def test_ids_and_letters_are_written_as_the_profile_says(
    tmp_path: Path, profile: str, id_format: str, alphabet: Alphabet
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("receipt_id: hex\n")
    parts = SimpleNamespace(home=tmp_path, smpp="127.0.0.1:2775", local_smsc=object())
    name = str(own) if profile == "own" else profile
    written = write_carriers(cast(Any, parts), profile=name)
    read = routes.parse(written.read_text(), "carriers.yaml").carriers["local"]
    assert isinstance(read.account, SmppAccount)
    assert (read.dialect.id_format, read.dialect.alphabet) == (id_format, alphabet)
    [carrier] = yaml.safe_load(written.read_text())["carriers"]
    assert ("id_format" in carrier) is (id_format != "same")


def test_services_of_a_local_run_read_files_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"MAWJA_RULES": "books", "MAWJA_KNOWLEDGE": "known.yaml", "MAWJA_CATALOGUE": "agencies"}
    own |= {"MAWJA_AGENTS": "120", "MAWJA_CALLS_BACK": "shares.yaml"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    # Another system's, which a run of its own has nothing to do with.
    monkeypatch.setenv("MAWJA_KAFKA", "elsewhere:9092")
    parts = SimpleNamespace(home=tmp_path, smpp="127.0.0.1:2775", local_smsc=object())
    env = make_system(cast(Any, parts)).env
    assert {name: env.get(name) for name in own} == own
    assert "MAWJA_KAFKA" not in env
