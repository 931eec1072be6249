"""`mawja bench`: each part beside its bare floor, in one run on one machine, as ratios.

A figure in contacts per second says how fast the machine is; a ratio to a floor measured in the
same minute says what durability costs. Floor and service take turns, so that a noisy neighbour
meets both, and every figure comes with its lowest and highest run.

- unary, stream, bundled (many contacts in one message of the stream): intake (a contact is
  answered when Kafka has it) against a bare grpc.aio server (`floor echo`) with the same
  messages, the same client, the same number in flight;
- dedup, outreach: working off the backlog that intake has made, by its own processor time; and the
  pure decision alone, in this process;
- sms: broadcast (claims and receipts on the log) against a bare windowed SMPP loop
  (`floor smpp`) with the same parts into the same SMS centre, both timed by its own record.

Keys of the report. A *figure* is {median, low, high, runs}.
`machine`, `busy_before` (share of the processors that other programs used, 0 to 1), `in_flight`
{unary, stream}, `request_bytes` (mean);
`unary`, `stream`, `bundled`: {ratio, per_s, bare_per_s} figures, `ratio` = durable ÷ bare within a
round;
`dedup`: {per_s_per_core, per_s, decide_per_s_per_core} figures, in contacts;
`sms`: {ratio, submits_per_s, bare_submits_per_s} figures, in parts as the SMS centre counts them;
`cpu_us`: figures of processor time in µs: intake_unary, intake_stream, intake_bundled (a contact,
with kafka's and valkey's share as intake_unary_kafka …), dedup, outreach (a contact), broadcast (a
message part);
Fewer runs than usual: the machine was too busy to do them in time.
`elapsed_s`; `contacts`: how many intake took in all.
"""
