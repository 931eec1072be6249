"""A message that waits to be sent and a file of carriers, for tests of broadcast's pure parts."""

import uuid

from mawja.broadcast.v1.events_pb2 import QueuedMessage

from services.broadcast.lanes import BULK, Lane

ONE_CARRIER = """
carriers:
  - {name: one, kind: smpp, declared: test, host: h, port: 1, system_id: s, password_file: p,
     sender: Mawja, parts_per_second: 100}
routes:
  - {prefix: "+9995", carrier: one}
"""
FILE = """
carriers:
  - name: live
    kind: smpp
    declared: live
    host: smsc.example
    port: 2775
    system_id: mawja
    password_file: live.password
    sender: GovCare
    parts_per_second: 200
  - name: arabic
    kind: smpp
    declared: live
    host: smsc.example
    port: 2776
    system_id: mawja
    password_file: live.password
    sender: "8001"
    parts_per_second: 20.5
    window: 10
    id_format: hex_to_dec
    alphabet: latin1
    validity: relative
  - name: drill
    kind: smpp
    declared: test
    host: localhost
    port: 2777
    system_id: mawja
    password_file: drill.password
    sender: DRILL
    parts_per_second: 1000
routes:
  - {prefix: "+971", carrier: live}
  - {prefix: "+971", language: ar, carrier: arabic}
  - {prefix: "+97150", carrier: live}
  - {prefix: "+", carrier: drill}
"""


def queued(
    name: str, lane: Lane = BULK, *, parts: int = 1, expires_ms: int = 1_000
) -> QueuedMessage:
    return QueuedMessage(
        message_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        person=name.encode().ljust(16, b"-"),
        lane=lane,
        parts=parts,
        expires_ms=expires_ms,
    )
