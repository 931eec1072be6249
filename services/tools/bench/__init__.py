"""`mawja bench`: each part beside its bare floor, in one run on one machine, as ratios.

A figure in contacts per second says how fast the machine is; a ratio to a floor measured in the
same minute says what durability costs. Floor and service take turns, so that a noisy neighbour
meets both, and every figure comes with its lowest and highest run.

- unary, stream, bundled (many contacts in one message of the stream): intake (a contact is
  answered when Kafka has it) against a bare grpc.aio server (`floor echo`) with the same
  messages, the same client, the same number in flight;
- dedup, outreach: working off the backlog that intake has made, by its own processor time; and the
  pure decision alone, in this process;
- audience: a file of people read and checked against `csv.reader` alone on the same bytes, in this
  process, by processor time;
- sms: broadcast (claims and receipts on the log) against a bare windowed SMPP loop
  (`floor smpp`) with the same parts into the same SMS centre, both timed by its own record;
- campaign: a file of people brought, rehearsed, approved and sent to its end by two processes of
  broadcast (as many as the bare side has: loop and SMS centre), then the same parts bare.

Keys of the report. A *figure* is {median, low, high, runs}.
`machine`, `busy_before` (share of the processors that other programs used, 0 to 1), `in_flight`
{unary, stream}, `request_bytes` (mean);
`unary`, `stream`, `bundled`: {ratio, per_s, bare_per_s} figures, `ratio` = durable ÷ bare within a
round;
`dedup`: {per_s_per_core, per_s, decide_per_s_per_core} figures, in contacts;
`audience`: {ratio, rows_per_s, bare_rows_per_s} figures, in rows;
`sms`: {ratio, submits_per_s, bare_submits_per_s} figures, in parts as the SMS centre counts them;
`campaign`: {ratio, messages_per_s, bare_per_s} figures, as `sms`; {queued_per_s, queued_peak_mb}:
recipients from the first byte of their file to the last of them in Kafka, and by how much the most
memory that broadcast's processes had had grew meanwhile;
`cpu_us`: figures of processor time in µs: intake_unary, intake_stream, intake_bundled (a contact,
with kafka's and valkey's share as intake_unary_kafka …), dedup, outreach (a contact), broadcast (a
message part), campaign (a message, by broadcast);
Fewer runs than usual: the machine was too busy to do them in time.
`elapsed_s`; `contacts`: how many intake took in all.
"""
