"""What the compose page counts while somebody types is what broadcast will send: the built script,
run by node on a page of text fields alone, beside the service's own cutting."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.broadcast.segments import MAX_PARTS, split
from services.broadcast.texts.template import parse, render
from services.broadcast.wording import shown
from services.console.static import STATIC
from services.runtime.smpp_text import Alphabet

pytestmark = pytest.mark.peers
PAGE = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const told = [];
for (const [value, drill] of cases) {
  const line = { textContent: "", classList: { toggle() {} } };
  const phone = { textContent: "" };
  const area = { id: "text_ar", value };
  const form = {
    dataset: { parts: "parts", about: "about", unitsLeft: "left", tooLong: "too long" },
    querySelector: () => ({ checked: drill }),
    addEventListener() {},
  };
  globalThis.document = {
    querySelector: (by) => by === "#compose" ? form : by.startsWith("[data-count") ? line : phone,
    querySelectorAll: () => [area],
    documentElement: { classList: { toggle() {} } },
  };
  globalThis.HTMLTextAreaElement = globalThis.HTMLInputElement = class {};
  (0, eval)(SCRIPT);
  told.push([line.textContent, phone.textContent]);
}
process.stdout.write(JSON.stringify(told));
"""
EDGES = ["a", "ا", "€", "[", "😀", "ä", "\u0301", "{{", "\n", "e\u0301", "👨\u200d👩\u200d👧", "ç"]

texts = st.builds(
    lambda pieces, tail: "".join(pieces) + tail,
    st.lists(st.builds(lambda one, n: one * n, st.sampled_from(EDGES), st.integers(1, 160))),
    st.sampled_from(EDGES),
).filter(lambda text: bool(text.strip()) and len(text) < 3000)


def counted(cases: list[tuple[str, bool]]) -> list[tuple[str, str]]:
    """What the page says below each text, and what its phone shows."""
    node = shutil.which("node")
    assert node is not None, "needs Node.js; on Debian: apt-get install nodejs"
    script = json.dumps((STATIC / "campaigns.js").read_text())
    ran = subprocess.run(
        [node, "-e", f"const SCRIPT = {script};{PAGE}"],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [(line, phone) for line, phone in json.loads(ran.stdout)]


def told(text: str, drill: bool) -> tuple[str, str]:
    """The same by the service's own code, for a text without placeholders."""
    said = render(parse("ar", text), {}, lambda _: True)
    sent = shown(said, drill, Alphabet.GSM7)
    cut = split(sent)
    alphabet = "GSM-7" if cut.encoding.name == "GSM7" else "UCS-2"
    return f"parts: {cut.part_count:,} · {alphabet} · {cut.units:,}", sent


@settings(max_examples=6, deadline=None)
@given(st.lists(st.tuples(texts, st.booleans()), min_size=20, max_size=40))
def test_parts_are_counted_as_they_are_sent(cases: list[tuple[str, bool]]) -> None:
    for (text, drill), (line, phone) in zip(cases, counted(cases), strict=True):
        wanted, sent = told(text, drill)
        assert line.split(" (")[0] == wanted
        assert phone == sent


def test_at_the_edges_of_parts() -> None:
    cases = [
        (letter * count, drill)
        for letter in ("a", "€", "ا", "😀")
        for count in (1, 69, 70, 71, 79, 80, 81, 134, 153, 154, 160, 161, 306, 307)
        for drill in (False, True)
    ]
    for (text, drill), (line, _) in zip(cases, counted(cases), strict=True):
        assert line.split(" (")[0] == told(text, drill)[0]


def test_placeholders_and_what_is_too_long() -> None:
    cases = [
        ("Hi {name|citizen}, {day }!", False),
        ("ا" * 67 * (MAX_PARTS + 1), False),
        (" ", True),
    ]
    filled, long, empty = counted(cases)
    assert filled[1] == "Hi citizen, day!"
    assert filled[0].startswith("parts: about 1 ")
    assert long[0].endswith("too long")
    assert empty == ("parts: –", "")
