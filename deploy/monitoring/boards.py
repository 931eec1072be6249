"""The Grafana dashboards as code: one for who answers at night, one for who leads by day.

Grafana takes the JSON (`dashboards/*.json`) by its provisioning or by hand; the data source is a
variable of the page.
"""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

_SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
_RATE = "[$__rate_interval]"
Panel = tuple[str, str, str, Sequence[tuple[str, str]]]
"""Title, unit, what it tells, and (expression, legend) of each line."""

OPERATIONS: dict[str, Sequence[Panel]] = {
    "Is it there?": (
        (
            "Rooms that serve",
            "none",
            "0: nobody does this room's work.",
            [("max by (room) (mawja_service_serving)", "{{room}}")],
        ),
        (
            "Kafka and Redis silent",
            "s",
            "How long they have not answered.",
            [
                ("max(mawja_kafka_unanswered_seconds)", "Kafka"),
                ("max(mawja_redis_unanswered_seconds)", "Redis"),
            ],
        ),
        (
            "Clocks beside Redis's",
            "s",
            "Beyond 5 s a clock is not followed.",
            [("max by (room) (abs(mawja_clock_skew_seconds))", "{{room}}")],
        ),
        (
            "Certificates end",
            "s",
            "Below 14 days nobody has renewed one.",
            [
                (
                    "min by (room, used_for) (mawja_tls_certificate_ends_seconds)",
                    "{{room}} {{used_for}}",
                )
            ],
        ),
    ),
    "Requests": (
        (
            "Requests",
            "reqps",
            "By room.",
            [(f"sum by (room) (rate(mawja_rpc_seconds_count{_RATE}))", "{{room}}")],
        ),
        (
            "Failed",
            "reqps",
            "What callers were not given.",
            [
                (
                    f'sum by (room, code) (rate(mawja_rpc_seconds_count{{code!="OK"}}{_RATE}))',
                    "{{room}} {{code}}",
                )
            ],
        ),
        (
            "Duration, 99 of 100",
            "s",
            "What a caller waits.",
            [
                (
                    "histogram_quantile(0.99, "
                    f"sum by (le, room) (rate(mawja_rpc_seconds_bucket{_RATE})))",
                    "{{room}}",
                )
            ],
        ),
    ),
    "Console": (
        (
            "Pages",
            "reqps",
            "By what was answered.",
            [
                (
                    f"sum by (status) (rate(mawja_console_request_seconds_count{_RATE}))",
                    "{{status}}",
                )
            ],
        ),
        (
            "Pages that fail",
            "reqps",
            "By route: which room's they are.",
            [
                (
                    "sum by (route) "
                    f'(rate(mawja_console_request_seconds_count{{status="5xx"}}{_RATE}))',
                    "{{route}}",
                )
            ],
        ),
        (
            "Until a page begins, 99 of 100",
            "s",
            "What who leads waits.",
            [
                (
                    "histogram_quantile(0.99, sum by (le) "
                    f"(rate(mawja_console_request_seconds_bucket{_RATE})))",
                    "console",
                )
            ],
        ),
        (
            "Live pages and sign-ins",
            "none",
            "Who looks on, and who wants to.",
            [
                ("sum(mawja_console_streams_open)", "live pages"),
                (
                    "sum by (way, outcome) (increase(mawja_console_sign_ins_total[5m]))",
                    "{{way}} {{outcome}} in 5 min",
                ),
            ],
        ),
    ),
    "Does it keep up?": (
        (
            "Oldest record that waits",
            "s",
            "Above 60 people wait for us.",
            [("max by (group) (mawja_worker_oldest_unprocessed_seconds)", "{{group}}")],
        ),
        (
            "Records that wait",
            "none",
            "The queue before each room.",
            [("sum by (group) (mawja_worker_lag_records)", "{{group}}")],
        ),
        (
            "Dead letters that wait",
            "none",
            "Each is somebody whose contact stands still.",
            [("sum by (group) (mawja_worker_dead_letters_waiting)", "{{group}}")],
        ),
        (
            "Contacts that are turned away or fail",
            "percentunit",
            "The budget is 0.1 %.",
            [
                ("mawja:intake_bad:ratio_rate5m", "5 minutes"),
                ("mawja:intake_bad:ratio_rate1h", "1 hour"),
            ],
        ),
    ),
    "Do the books balance?": (
        (
            "In no bucket, or in two",
            "none",
            "Must be 0.",
            [("max by (thing, kind) (mawja_ledger_imbalance)", "{{thing}} {{kind}}")],
        ),
        (
            "Where all stand",
            "none",
            "Since the ledger began to count, an hour before its start.",
            [("max by (thing, bucket) (mawja_ledger_standing)", "{{thing}} {{bucket}}")],
        ),
        (
            "The ledger is behind",
            "s",
            "How old the balance is that is shown.",
            [('min(mawja_ledger_behind_seconds{room="reports"})', "behind")],
        ),
    ),
    "Carriers": (
        (
            "Binds",
            "none",
            "0: nothing is sent.",
            [("sum by (carrier) (mawja_carrier_binds)", "{{carrier}}")],
        ),
        (
            "Parts",
            "ops",
            "By what the carrier answered.",
            [
                (
                    f"sum by (carrier, outcome) (rate(mawja_carrier_submits_total{_RATE}))",
                    "{{carrier}} {{outcome}}",
                )
            ],
        ),
        (
            "Answer, 99 of 100",
            "s",
            "A carrier's slowness is our queue.",
            [
                (
                    "histogram_quantile(0.99, "
                    f"sum by (le, carrier) (rate(mawja_carrier_answer_seconds_bucket{_RATE})))",
                    "{{carrier}}",
                )
            ],
        ),
        (
            "Messages that wait",
            "none",
            "By lane.",
            [("sum by (lane) (mawja_broadcast_queued)", "{{lane}}")],
        ),
    ),
}
LEADING: dict[str, Sequence[Panel]] = {
    "The wave": (
        (
            "Contacts",
            "ops",
            "As they come, by outcome.",
            [(f"sum by (outcome) (rate(mawja_intake_contacts_total{_RATE}))", "{{outcome}}")],
        ),
        (
            "Bursts",
            "none",
            "What more people than usual reach out about.",
            [("max(mawja_wave_bursts)", "bursts")],
        ),
        (
            "Decisions on cases",
            "ops",
            "New needs, and people who come again.",
            [(f"sum by (change) (rate(mawja_dedup_decisions_total{_RATE}))", "{{change}}")],
        ),
    ),
    "What the centre promises": (
        (
            "Service levels",
            "percentunit",
            "Of the last 15 minutes, drills left out.",
            [
                ("max by (level) (mawja_wave_service_level_ratio)", "{{level}}"),
                ("max by (level) (mawja_wave_service_level_target_ratio)", "{{level}}: promised"),
            ],
        ),
        (
            "Waiting to be called back",
            "none",
            "People.",
            [("sum(mawja_outreach_callbacks_due)", "people")],
        ),
        (
            "A life in danger, not confirmed",
            "none",
            "Must be 0.",
            [('sum(mawja_outreach_hand_overs_open{drill="false"})', "cases")],
        ),
    ),
    "Campaigns": (
        (
            "Recipients",
            "none",
            "Of campaigns that run or pause, drills left out: each is in one bucket.",
            [
                (
                    'sum by (bucket) (mawja_broadcast_campaign_recipients{drill="false"})',
                    "{{bucket}}",
                )
            ],
        ),
        (
            "Sending is paused after a restore",
            "none",
            "1: nothing is sent to anybody until somebody resumes.",
            [("max(mawja_broadcast_sending_paused)", "paused")],
        ),
    ),
    "Who heard from us": (
        (
            "Messages",
            "ops",
            "By what became of them.",
            [(f"sum by (state) (rate(mawja_broadcast_messages_total{_RATE}))", "{{state}}")],
        ),
        (
            "Receipts",
            "ops",
            "By what they say.",
            [(f"sum by (state) (rate(mawja_carrier_receipts_total{_RATE}))", "{{state}}")],
        ),
        (
            "Sent by another way",
            "ops",
            "Messages that their carrier did not get.",
            [
                (
                    f"sum by (carrier, why) (rate(mawja_broadcast_rerouted_total{_RATE}))",
                    "{{carrier}} {{why}}",
                )
            ],
        ),
    ),
}


def _board(title: str, uid: str, rows: dict[str, Sequence[Panel]]) -> str:
    board = (
        dashboard.Dashboard(title)
        .uid(uid)
        .tags(["mawja"])
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("source").label("Source").type("prometheus"))
    )
    number = 0
    for name, panels in rows.items():
        board = board.with_row(dashboard.Row(name).id(100 + number))
        for panel, unit, tells, lines in panels:
            number += 1
            drawn = (
                timeseries.Panel()
                .id(number)
                .title(panel)
                .description(tells)
                .unit(unit)
                .min(0)
                .datasource(_SOURCE)
                .span(24 // len(panels))
                .height(8)
            )
            for letter, (expression, legend) in zip("ABCD", lines, strict=False):
                query = prometheus.Dataquery().expr(expression).legend_format(legend)
                query = query.ref_id(letter)
                drawn = drawn.with_target(query.datasource(_SOURCE))
            board = board.with_panel(drawn)
    return str(JSONEncoder(sort_keys=True, indent=2).encode(board.build())) + "\n"


def made() -> dict[str, str]:
    """The JSON of each dashboard, by name."""
    return {
        "operations": _board("Mawja: operations", "mawja-operations", OPERATIONS),
        "leading": _board("Mawja: the wave", "mawja-leading", LEADING),
    }


def expressions() -> list[str]:
    """Every expression of every panel."""
    return [
        expression
        for rows in (OPERATIONS, LEADING)
        for panels in rows.values()
        for _, _, _, lines in panels
        for expression, _ in lines
    ]
