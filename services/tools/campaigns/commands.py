"""The commands of `mawja campaign`, in the order in which --help lists them."""

from services.tools.campaigns import (
    alerts,
    audience,
    authoring,
    deeds,
    export,
    opt_outs,
    subscribers,
)
from services.tools.campaigns.app import app
from services.tools.effects.command import command as effect_command
from services.tools.reports.command import command as report_command

app.command("report")(report_command)
app.command("effect")(effect_command)

__all__ = ["alerts", "app", "audience", "authoring", "deeds", "export", "opt_outs", "subscribers"]
