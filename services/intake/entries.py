"""What the index says of one key: where its record stands, or who has claimed it; and the scripts
by which Redis changes entries, each in one step."""

from dataclasses import dataclass
from uuid import UUID

from google.protobuf.message import DecodeError
from mawja.intake.v1 import events_pb2

from services.runtime import log
from services.runtime.own import Record

_log = log.get("intake.index")
_PENDING = 1 << 63
# What the first version wrote for every claim.
_SINCE_UNKNOWN = (1 << 64) - 1
PACKED = 34


# KEYS[1] sentinel, then the entries. ARGV[1] seconds to live, ARGV[2] seconds left to an abandoned
# claim, then a value for each entry. Answers the old value of each, '' where it is claimed now;
# one more byte follows an abandoned claim. Whoever claims with the same body renews the claim.
CLAIM = """
if redis.call('EXISTS', KEYS[1]) == 0 then return redis.error_reply('LOST') end
local answers = {}
for i = 2, #KEYS do
  local old = redis.call('SET', KEYS[i], ARGV[i+1], 'NX', 'GET', 'EX', ARGV[1]) or ''
  if old ~= '' and string.byte(old, 27) >= 128 then
    if string.sub(old, 1, 16) == string.sub(ARGV[i+1], 1, 16) then
      redis.call('EXPIRE', KEYS[i], ARGV[1])
    elseif redis.call('TTL', KEYS[i]) <= tonumber(ARGV[2]) then old = old .. '!' end
  end
  answers[i-1] = old
end
return answers
"""
# KEYS entries. ARGV[1] seconds to live, then a claim for each: put back where nothing stands,
# renewed where it stands.
RENEW = """
for i = 1, #KEYS do
  local old = redis.call('SET', KEYS[i], ARGV[i+1], 'NX', 'GET', 'EX', ARGV[1])
  if old == ARGV[i+1] then redis.call('EXPIRE', KEYS[i], ARGV[1]) end
end
"""
# KEYS[1] an entry. ARGV: the abandoned claim, seconds to live, and what stands in its place, '' for
# nothing.
SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
if ARGV[3] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[2]) end
"""
# KEYS entries. ARGV[1] seconds to live, then a value for each. An entry that was flushed meanwhile
# is put back. Answers the mac that holds for each.
COMPLETE = """
local macs = {}
for i = 1, #KEYS do
  local old = redis.call('GETRANGE', KEYS[i], 0, 15)
  local mine = string.sub(ARGV[i+1], 1, 16)
  if old == '' or old == mine then
    redis.call('SET', KEYS[i], ARGV[i+1], 'EX', ARGV[1])
    macs[i] = mine
  else macs[i] = old end
end
return macs
"""
# KEYS: the lock, the sentinel. ARGV: whose lock it is, the time. The index is whole only if the
# lock stood all the while: a flush takes it away, together with a part of what was read back.
WHOLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
"""
# KEYS: the lock. ARGV: whose lock it is.
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key: whose body it was, when it was taken, and where it stands.

    `offset` is None while the record is on its way to Kafka: a claim. Then the record stands, if
    it does, at `since` or after it.
    """

    mac: bytes
    accepted_ms: int
    partition: int
    offset: int | None
    since: int = 0

    def pack(self) -> bytes:
        """16 bytes mac, 8 accepted, 2 partition, 8 offset, or 2^63 + since; big-endian."""
        offset = _PENDING + self.since if self.offset is None else self.offset
        return b"".join(
            (
                self.mac,
                self.accepted_ms.to_bytes(8, "big"),
                self.partition.to_bytes(2, "big"),
                offset.to_bytes(8, "big"),
            )
        )

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """The inverse of `pack`."""
        offset = int.from_bytes(data[26:34], "big")
        claim = offset >= _PENDING
        return cls(
            data[:16],
            int.from_bytes(data[16:24], "big"),
            int.from_bytes(data[24:26], "big"),
            None if claim else offset,
            offset - _PENDING if claim and offset != _SINCE_UNKNOWN else 0,
        )


@dataclass(frozen=True, slots=True)
class Held:
    """Who holds a key that was asked for. `abandoned`: a claim that nobody renews any more."""

    entry: Entry
    abandoned: bool


def entry_of(record: Record) -> tuple[bytes, Entry] | None:
    """The key of a contact's record and where it stands; None when it is no contact."""
    try:
        event = events_pb2.ContactAccepted.FromString(record.value or b"")
        entry = Entry(event.body_mac, event.accepted_ms, record.partition, record.offset)
        if len(entry.pack()) != PACKED:
            raise ValueError("not a mac")
        return UUID(event.contact_id).bytes, entry
    except (DecodeError, ValueError, OverflowError):
        # No contact, so no key: dedup sets it aside and says so.
        _log.error("not a contact", topic=record.topic, offset=record.offset)
        return None
