"""CAP 1.2, the Common Alerting Protocol (OASIS, 1 July 2010): alerts in, campaigns out.

`reading.parse` and `writing.write` are each other's inverse; `drafts.draft_of` and
`exports.alert_of` stand between an alert and a campaign. `model` holds the values.
"""
