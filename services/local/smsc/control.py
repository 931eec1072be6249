"""The SMS centre's control socket: JSON lines over loopback TCP, an answer to each.

Requests: ``{"op":"inbound","from":"+999…","to":"…","text":"…"}`` (or ``"hex"`` with
``"data_coding"`` and ``"udhi"`` instead of ``text``, and ``"system_id"`` for one client),
``{"op":"stats"}``, ``{"op":"set","profile":{…}}`` (any keys of the profile), ``{"op":"drop"}``
(cut every connection). Answers have ``"ok"``; a refusal has ``"error"``, a sentence.
"""

import asyncio
import json

from services.local.smsc.profile import ProfileError
from services.local.smsc.server import SmsCentre
from services.runtime.smpp_text import Alphabet

_MAX_LINE = 1 << 20


async def serve(centre: SmsCentre, host: str, port: int) -> asyncio.Server:
    """Listen for control connections; the caller closes the server."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(answer(centre, line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.CancelledError):
            pass  # it left, or sent a line without end: nothing of ours is open
        finally:
            writer.close()

    return await asyncio.start_server(talk, host, port, limit=_MAX_LINE)


def answer(centre: SmsCentre, line: bytes) -> dict[str, object]:
    """Do what one request says."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            raise ValueError("a request is a JSON object")
        match request.get("op"):
            case "inbound":
                return {"ok": True, "id": _inbound(centre, request)}
            case "stats":
                return {"ok": True, **centre.stats()}
            case "set":
                centre.profile = centre.profile.with_changes(_mapping(request.get("profile")))
                return {"ok": True}
            case "drop":
                return {"ok": True, "dropped": centre.drop_binds()}
            case _:
                raise ValueError("op is inbound, stats, set or drop")
    except (ValueError, ProfileError) as error:
        return {"ok": False, "error": str(error)}


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("profile is an object of profile keys")
    return value


def _inbound(centre: SmsCentre, request: dict[str, object]) -> str:
    source, destination = _text(request, "from"), _text(request, "to")
    system_id = _text(request, "system_id") if "system_id" in request else None
    if "hex" in request:
        payload = bytes.fromhex(_text(request, "hex"))
        data_coding = request.get("data_coding", 0)
        if not isinstance(data_coding, int) or not 0 <= data_coding <= 255:
            raise ValueError("data_coding is 0 to 255")
        udhi = request.get("udhi") is True
    else:
        text = _text(request, "text")
        alphabet: Alphabet = centre.profile.alphabet
        plain = alphabet.can_encode(text)
        payload = alphabet.encode(text) if plain else text.encode("utf-16-be")
        data_coding, udhi = (0 if plain else 8), False
    return centre.inbound(source, destination, payload, data_coding, udhi=udhi, system_id=system_id)


def _text(request: dict[str, object], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is missing or not a string")
    return value
