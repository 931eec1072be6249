"""node-smpp as an SMS centre: a process beside the test, and what it heard.

It reads with code that shares nothing with ours: PDUs, alphabets, headers and national tables.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.broadcast_rig import wait_until
from tests.peers import install

_SERVER = Path(__file__).with_name("smsc.js")


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole message as node-smpp reads it. `text` may have halves of characters put together
    again that lay in two parts; `broken` says that there were such. `tables`: the identifiers of
    national tables, over all its last part's headers. `valid_until` is Unix ms."""

    to: str
    sender: str
    text: str
    parts: int
    broken: bool
    data_coding: int
    tables: tuple[int, ...]
    to_ton: int
    sender_ton: int
    valid_until: int | None


@dataclass(slots=True)
class NodeSmsc:
    """An SMS centre in `folder`. `receipts`: whether a receipt names its message by parameters, or
    only in its text and in decimal. `certificate`: the files of a certificate and its key; then it
    speaks TLS."""

    folder: Path
    receipts: Literal["tlv", "text"] = "tlv"
    certificate: tuple[Path, Path] | None = None
    port: int = 0
    _process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it. Raises NotThere if there is no node-smpp."""
        modules = install.node_smpp()
        self.folder.mkdir(parents=True, exist_ok=True)
        ready = self.folder / "port"
        options = {
            "modules": str(modules),
            "heard": str(self._heard),
            "ready": str(ready),
            "receipts": self.receipts,
        }
        if self.certificate is not None:
            options["cert"], options["key"] = map(str, self.certificate)
        with (self.folder / "node.log").open("ab") as log:
            self._process = subprocess.Popen(
                [shutil.which("node") or "node", str(_SERVER), json.dumps(options)],
                # It ends with this pipe, whatever becomes of this process.
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
            )
        wait_until(ready.exists, 20)
        self.port = int(ready.read_text())

    def stop(self) -> None:
        """Ends it."""
        if self._process is None or self._process.stdin is None:
            return
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)

    def say(
        self, sender: str, to: str, text: str, *, ton: int = 1, data_coding: int | None = None
    ) -> None:
        """Sends a person's message to the bind that came first. `ton`: the type of its number.
        `data_coding`: in one part, as node-smpp writes under it; else UCS-2 in as many as it takes.
        """
        assert self._process is not None
        assert self._process.stdin is not None
        said = {"from": sender.removeprefix("+"), "ton": ton, "to": to, "text": text}
        if data_coding is not None:
            said["data_coding"] = data_coding
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()

    @property
    def _heard(self) -> Path:
        return self.folder / "heard.jsonl"

    def heard(self) -> list[Heard]:
        """Every whole message, in the order of its last part."""
        if not self._heard.exists():
            return []
        lines = self._heard.read_text("utf-8").split("\n")
        # What stands after the last line's end is being written.
        return [_heard(json.loads(line)) for line in lines[:-1]]

    def texts(self) -> dict[str, list[str]]:
        """What each telephone (digits alone) shows."""
        found: dict[str, list[str]] = {}
        for one in self.heard():
            found.setdefault(one.to, []).append(one.text)
        return found


def _heard(said: dict[str, object]) -> Heard:
    parts = said["parts"]
    tables = said["tables"]
    assert isinstance(parts, list)
    assert isinstance(tables, list)
    joined = "".join(parts)
    return Heard(
        to=str(said["to"]),
        sender=str(said["from"]),
        text=joined.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "replace"),
        parts=len(parts),
        broken=any(_is_broken(part) for part in parts),
        data_coding=_number(said["data_coding"]),
        tables=tuple(_number(one) for one in tables),
        to_ton=_number(said["to_ton"]),
        sender_ton=_number(said["from_ton"]),
        valid_until=None if said["valid_until"] is None else _number(said["valid_until"]),
    )


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _is_broken(part: str) -> bool:
    # JSON's escapes of a whole pair are one character here: what is left is half of one.
    return any("\ud800" <= char <= "\udfff" for char in part)
