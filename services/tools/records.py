"""Records of topics as people read and mend them: JSON, with what is sealed shown as sealed. Pure.

Bytes are base64 and 64-bit numbers strings, as everywhere in the JSON of protos. A sealed value is
`"sealed:<base64>"`, so that what was shown can be mended beside it and given back.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import DecodeError, Message
from mawja.audit.v1 import events_pb2 as audit
from mawja.broadcast.v1 import audiences_pb2 as audiences
from mawja.broadcast.v1 import campaigns_pb2 as campaigns
from mawja.broadcast.v1 import events_pb2 as broadcast
from mawja.common.v1 import common_pb2 as common
from mawja.dedup.v1 import erasures_pb2 as erasures
from mawja.dedup.v1 import events_pb2 as dedup
from mawja.dedup.v1 import incidents_pb2 as incidents
from mawja.dedup.v1 import needs_pb2 as needs
from mawja.intake.v1 import events_pb2 as intake
from mawja.outreach.v1 import announcements_pb2 as announcements
from mawja.outreach.v1 import commands_pb2 as asked
from mawja.outreach.v1 import events_pb2 as outreach
from mawja.outreach.v1 import playbooks_pb2 as playbooks
from mawja.outreach.v1 import proposals_pb2 as proposed
from mawja.wave.v1 import contracts_pb2 as contracts
from mawja.wave.v1 import events_pb2 as wave

from services.runtime import topics
from services.runtime.errors import ConfigError, Poison
from services.runtime.topics import AUDITS, DEAD_LETTERS, partition_of

_EVENTS: dict[topics.Topic, type[Message]] = {
    topics.CONTACT_ACCEPTED: intake.ContactAccepted,
    topics.CALL_EVENT: intake.CallEvent,
    topics.CASE: dedup.CaseDecision,
    topics.TALLY: dedup.Tally,
    topics.ERASED: erasures.PersonErased,
    topics.DEDUP_COMMAND: dedup.CaseCommand,
    topics.NEED: needs.NeedStated,
    topics.INCIDENT: incidents.IncidentDecision,
    topics.INCIDENT_COMMAND: incidents.IncidentCommand,
    topics.MESSAGE_REQUESTED: outreach.MessageRequested,
    topics.CALLBACK: outreach.Callback,
    topics.OUTREACH_COMMAND: asked.OutreachCommand,
    topics.PROPOSAL: proposed.Proposal,
    topics.PROPOSAL_COMMAND: proposed.ProposalCommand,
    topics.WATCH: outreach.Watch,
    topics.CASE_REQUEST: dedup.CaseCommand,
    topics.ANNOUNCEMENT: announcements.Announcement,
    topics.PLAYBOOK_SWITCH: playbooks.PlaybookSwitch,
    topics.QUEUED_URGENT: broadcast.QueuedMessage,
    topics.QUEUED_NORMAL: broadcast.QueuedMessage,
    topics.QUEUED_BULK: broadcast.QueuedMessage,
    topics.MESSAGE_STATUS: broadcast.StatusRecord,
    topics.RECEIPT: broadcast.Receipt,
    topics.INBOUND_MESSAGE: broadcast.InboundMessage,
    topics.OPT_OUT: broadcast.OptOut,
    topics.RESTORATION: broadcast.Restoration,
    topics.SUBSCRIPTION: audiences.Subscription,
    topics.BROADCAST_COMMAND: broadcast.BroadcastCommand,
    topics.CAMPAIGN: campaigns.CampaignDecision,
    topics.CAMPAIGN_COMMAND: campaigns.CampaignCommand,
    topics.AUDIENCE: campaigns.AudienceSlice,
    topics.LEVEL: wave.Level,
    topics.BURST: wave.Burst,
    topics.QUEUE_STATE: contracts.QueueState,
    topics.CALL_DECISION: contracts.CallDecision,
}
EVENTS: Mapping[str, type[Message]] = {
    **{topic.name: event for topic, event in _EVENTS.items()},
    **{topic.name: common.DeadLetter for topic in DEAD_LETTERS.values()},
    **{one.notes.name: audit.AuditNote for one in AUDITS.values()},
    **{one.chain.name: audit.AuditRecord for one in AUDITS.values()},
}
"""The message that each topic carries."""
_SEALED = "sealed_"
_MARK = "sealed:"
_FIELDS = ("text", "note", "reason", "number", "handle", "place")
_PERSON_BYTES = 16

Unseal = Callable[[str, bytes], str]


def decode(topic: str, value: bytes) -> Message | None:
    """The message in a record of `topic`; None when it is not what the topic holds."""
    event = EVENTS.get(topic)
    if event is None or not value:
        return None
    try:
        return event.FromString(value)
    except DecodeError:
        return None


def shown(message: Message, unseal: Unseal | None = None) -> dict[str, Any]:
    """What a message says. `unseal` opens what is sealed; without it that stays sealed."""
    said = MessageToDict(message, preserving_proto_field_name=True)
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                # Counts and amounts by name: nothing in a map is sealed.
                continue
            if field.is_repeated:
                said[field.name] = [shown(element, unseal) for element in value]
            else:
                said[field.name] = shown(value, unseal)
        elif field.name.startswith(_SEALED):
            many = list(value) if field.is_repeated else [value]
            texts = [_sealed(field.name.removeprefix(_SEALED), one, unseal) for one in many]
            said[field.name] = texts if field.is_repeated else texts[0]
    return said


def _sealed(name: str, value: bytes, unseal: Unseal | None) -> str:
    if unseal is None:
        return _MARK + base64.b64encode(value).decode()
    why = ""
    # What agents write is sealed under the name of what it is, whatever its field is called.
    for field in dict.fromkeys((name, *_FIELDS)):
        try:
            return unseal(field, value)
        except Poison as error:
            why = why or str(error)
    return f"({why})"


def read(topic: str, said: object) -> bytes:
    """The bytes of the record that `said`, made by `shown` and mended, stands for; or all that
    `mawja dlq show` printed. Raises ConfigError."""
    if isinstance(said, dict) and "record" in said and "source" in said:
        said = said["record"]
    event = EVENTS.get(topic)
    if event is None or not isinstance(said, dict):
        raise ConfigError(f"the JSON must be an object with the fields of a record of {topic}")
    try:
        made = ParseDict(_given(said), event(), ignore_unknown_fields=False)
    except ParseError as error:
        # Its message may repeat what a field holds.
        where = str(error).partition(":")[0]
        raise ConfigError(f"the JSON is no {event.DESCRIPTOR.name}: {where}") from None
    return made.SerializeToString()


def _given(said: Any) -> Any:
    if isinstance(said, dict):
        return {name: _field(name, value) for name, value in said.items()}
    if isinstance(said, list):
        return [_given(one) for one in said]
    return said


def _field(name: str, value: Any) -> Any:
    if not name.startswith(_SEALED):
        return _given(value)
    if isinstance(value, list):
        return [_field(name, one) for one in value]
    if not isinstance(value, str) or (value and not value.startswith(_MARK)):
        raise ConfigError(
            f'{name} must be as `mawja dlq show` gives it without --unmask: "sealed:…"'
        )
    try:
        base64.b64decode(value.removeprefix(_MARK), validate=True)
    except ValueError:
        raise ConfigError(f"{name} must be base64 after {_MARK!r}") from None
    return value.removeprefix(_MARK)


def obstacle(topic: str, value: bytes, partition: int, partitions: int) -> str:
    """Why `value` cannot be worked as a record of this partition of `topic`; "" when it can, as
    far as can be told without its room."""
    message = decode(topic, value)
    if message is None:
        event = EVENTS.get(topic)
        return f"is not a {event.DESCRIPTOR.name if event else 'record of a topic that is known'}"
    person = getattr(message, "person", b"")
    if len(person) == _PERSON_BYTES and partition_of(person, partitions) != partition:
        return "is about a person of another partition"
    return ""
