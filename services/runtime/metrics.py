"""The one list of metrics: name, labels, unit and why each is watched.

Labels come from closed sets (rooms, topics, lanes, reasons): never a person, number or text.
"""

from prometheus_client import Counter, Gauge, Histogram, start_http_server

_LATENCY_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

RPC_SECONDS = Histogram(
    "mawja_rpc_seconds",
    "Duration of RPCs: what a caller of this room feels (RED).",
    ["method", "code"],
    buckets=_LATENCY_S,
)
RPC_INFLIGHT = Gauge(
    "mawja_rpc_inflight", "RPCs under way: rises when a room is stuck.", ["method"]
)
CONTACTS = Counter(
    "mawja_intake_contacts_total",
    "Contacts by outcome: the size of the wave, and what is turned away.",
    ["channel", "outcome"],
)
CALL_EVENTS = Counter("mawja_intake_call_events_total", "Call events taken.", ["state"])
JOINED = Counter(
    "mawja_intake_joined_total",
    "SMS in parts: whole, incomplete when their time was over, parts that came late, or once more.",
    ["outcome"],
)
INTAKE_INFLIGHT = Gauge(
    "mawja_intake_inflight", "Contacts being taken: near the limit, it refuses."
)
RECORDS = Counter(
    "mawja_worker_records_total", "Records worked through, by topic: progress.", ["group", "topic"]
)
LAG = Gauge(
    "mawja_worker_lag_records",
    "Records not yet worked through: the queue before a room.",
    ["group", "topic", "partition"],
)
OLDEST_S = Gauge(
    "mawja_worker_oldest_unprocessed_seconds",
    "How long the record waits that waits longest, 0 when none does: how far behind a room is.",
    ["group"],
)
PARTITIONS = Gauge(
    "mawja_worker_partitions", "Partitions owned: 0 means an idle replica.", ["group"]
)
TAKEOVER_SECONDS = Histogram(
    "mawja_worker_takeover_seconds",
    "From assignment to work: how long a partition stands still when a replica dies.",
    ["group"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
)
DEAD_LETTERS = Counter(
    "mawja_worker_dead_letters_total", "Records set aside; at the limit the room stops.", ["group"]
)
DEAD_WAITING = Gauge(
    "mawja_worker_dead_letters_waiting",
    "Letters of the partitions owned that nobody has replayed: people whose contact stands still.",
    ["group"],
)
VOID_RECORDS = Counter(
    "mawja_log_void_records_total",
    "Records of a past owner that were ignored: a replica was frozen and woke.",
    ["topic"],
)
DECISIONS = Counter("mawja_dedup_decisions_total", "Decisions by kind.", ["change"])
INCIDENTS = Counter(
    "mawja_dedup_incident_decisions_total",
    "Decisions on incidents by kind: many joined is an event under way.",
    ["change"],
)
WAITING_CALLS = Gauge(
    "mawja_dedup_waiting_calls",
    "Calls whose events came before their contact: stays up when a source sends no contacts.",
    ["partition"],
)
SLOW_BACKLOG = Gauge(
    "mawja_dedup_slow_backlog_seconds",
    "How long the group of 5 contacts or more that waits longest has waited for its meaning.",
)
OUTREACH = Counter("mawja_outreach_effects_total", "Messages and callbacks by step.", ["step"])
HAND_OVERS = Gauge(
    "mawja_outreach_hand_overs_open",
    "Cases with a life in danger that were handed over and that nobody has confirmed.",
    ["partition", "drill"],
)
PUT_OFF = Gauge(
    "mawja_outreach_put_off",
    "Cases of which a message waits until agents have room for the calls that it brings back.",
    ["partition", "drill"],
)
PLAYBOOKS = Gauge(
    "mawja_outreach_playbooks", "Playbooks that work, and that are left out as wrong.", ["state"]
)
PROPOSALS = Counter("mawja_outreach_proposals_total", "Campaigns proposed because of a burst.")
CALLBACKS_DUE = Gauge(
    "mawja_outreach_callbacks_due", "People who wait to be called back.", ["partition"]
)
DRILL_CALLBACKS_DUE = Gauge(
    "mawja_outreach_drill_callbacks_due",
    "Synthetic people of drills and exercises who wait to be called back.",
    ["partition"],
)
MESSAGES = Counter(
    "mawja_broadcast_messages_total", "Message state changes by lane.", ["lane", "state"]
)
SENDING_PAUSED = Gauge(
    "mawja_broadcast_sending_paused",
    "1 while nothing is sent from a partition, as Kafka was restored and nobody has resumed yet.",
    ["partition"],
)
QUEUED = Gauge("mawja_broadcast_queued", "Messages waiting in memory for a carrier.", ["lane"])
CARRIER_SUBMITS = Counter(
    "mawja_carrier_submits_total", "Parts given to a carrier, by outcome.", ["carrier", "outcome"]
)
CARRIER_SECONDS = Histogram(
    "mawja_carrier_answer_seconds",
    "Time a carrier takes to answer: its slowness is our queue.",
    ["carrier"],
    buckets=_LATENCY_S,
)
CARRIER_BOUND = Gauge(
    "mawja_carrier_binds", "Binds that are up; 0 means nothing is sent.", ["carrier"]
)
CARRIER_SHARE = Gauge(
    "mawja_carrier_share",
    "Share of its messages that a carrier gets; below 1 it failed or was slow, 0 is away.",
    ["carrier"],
)
REROUTED = Counter(
    "mawja_broadcast_rerouted_total",
    "Messages given to another carrier, by the one that did not get them and why.",
    ["carrier", "why"],
)
RECEIPTS = Counter(
    "mawja_carrier_receipts_total", "Receipts by what they say.", ["carrier", "state"]
)
RECEIPTS_UNMATCHED = Counter(
    "mawja_carrier_receipts_unmatched_total",
    "Receipts for which no message of ours was found within 10 minutes.",
    ["carrier"],
)
INBOUND = Counter(
    "mawja_carrier_inbound_total",
    "Messages from people; of a longer one each part.",
    ["carrier", "kind"],
)
CARRIER_DELIVERIES = Counter(
    "mawja_carrier_deliveries_total",
    "Webhook deliveries by outcome: what is not taken the carrier must bring again.",
    ["carrier", "outcome"],
)
CAMPAIGN_RECIPIENTS = Gauge(
    "mawja_broadcast_campaign_recipients",
    "Recipients of campaigns that run or pause, by where they are: each is in one bucket.",
    ["partition", "bucket", "drill"],
)
OPT_OUT_PAGES = Counter(
    "mawja_broadcast_opt_out_pages_total",
    "Opt-out pages by what they say: away means that wishes were not kept.",
    ["page"],
)
SERVING = Gauge(
    "mawja_service_serving",
    "1 while the process says SERVING: a room without one takes and does nothing.",
    ["service"],
)
KAFKA_SILENT = Gauge(
    "mawja_kafka_unanswered_seconds",
    "How long Kafka has not answered this process: nothing is decided or taken without it.",
)
ERASED_UNKNOWN = Gauge(
    "mawja_erased_unknown_seconds",
    "How long this process has not known all who were erased: it opens what it may not any more.",
)
REDIS_SILENT = Gauge(
    "mawja_redis_unanswered_seconds",
    "How long Redis has not answered this process: screens and intake's keys need it.",
)
CERTIFICATE_ENDS_S = Gauge(
    "mawja_tls_certificate_ends_seconds",
    "Until a certificate that the process holds ends, below 0 since: then nobody is let in by it.",
    ["used_for", "file"],
)
CLOCK_SKEW = Gauge(
    "mawja_clock_skew_seconds",
    "This machine's clock ahead of Redis's (negative: behind); beyond 5 it is not followed.",
)
VIEW_REBUILDS = Counter(
    "mawja_view_rebuilds_total", "Views written again after Redis lost them.", ["room"]
)
VIEW_PENDING = Gauge("mawja_view_pending", "View entries that wait for Redis.", ["room"])
LEVELS = Counter("mawja_wave_levels_total", "Windows stated.", ["dimension"])
BURSTS = Gauge(
    "mawja_wave_bursts", "Bursts that are not over: what more people than usual reach out about."
)
DRILL_BURSTS = Gauge("mawja_wave_drill_bursts", "Bursts of drills that are not over.")
LEVELS_DUE = Gauge("mawja_wave_levels_due", "Windows that changed and are not stated yet.")
TALLIES = Counter(
    "mawja_wave_tallies_total",
    "Tallies by outcome: counted, repeated, or damaged (then the levels lack something).",
    ["outcome"],
)
QUEUE_REPORTS = Counter(
    "mawja_wave_queue_reports_total", "What agencies told of their queues, by state.", ["state"]
)
CALL_DECISIONS = Counter(
    "mawja_wave_call_decisions_total",
    "Where calls were sent, and why: many of AGENCY_SILENT is a telephone system that has stopped.",
    ["route", "reason"],
)
SERVICE_LEVEL = Gauge(
    "mawja_wave_service_level_ratio",
    "Service levels of the centre, drills left out, in the last 15 minutes of event time, 0 to 1.",
    ["level"],
)
DRILL_SERVICE_LEVEL = Gauge(
    "mawja_wave_drill_service_level_ratio",
    "As mawja_wave_service_level_ratio, of the synthetic contacts of drills.",
    ["level"],
)
SERVICE_LEVEL_TARGET = Gauge(
    "mawja_wave_service_level_target_ratio", "What the centre promises, 0 to 1.", ["level"]
)

CONSOLE_SECONDS = Histogram(
    "mawja_console_request_seconds",
    "Until a page of the console begins to answer: what who leads waits, and is refused (RED).",
    ["route", "method", "status"],
    buckets=(0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
CONSOLE_STREAMS = Gauge(
    "mawja_console_streams_open", "Live pages that are open: how many people look on now."
)
SIGN_INS = Counter(
    "mawja_console_sign_ins_total",
    "Sign-ins by way and outcome: many refused is somebody who guesses.",
    ["way", "outcome"],
)

IMBALANCE = Gauge(
    "mawja_ledger_imbalance",
    "Contacts and messages that are not in exactly one bucket, by how: must be 0.",
    ["thing", "kind"],
)
BALANCE = Gauge(
    "mawja_ledger_standing",
    "Contacts and messages since the ledger began to count, by bucket: together all there were.",
    ["thing", "bucket"],
)
LEDGER_BEHIND_S = Gauge(
    "mawja_ledger_behind_seconds",
    "How long ago the moment is as of which the ledger counted last: the imbalance is of then.",
)


def serve(address: str) -> int:
    """Serves /metrics at host:port in a thread and returns the port that was bound."""
    host, _, port = address.rpartition(":")
    server, _thread = start_http_server(int(port), addr=host)
    # By itself it writes a traceback into the log for each caller that leaves before its answer.
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    return int(server.server_port)
