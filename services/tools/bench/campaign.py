"""A campaign from its file to its carrier, beside a bare loop, by the SMS centre's own record.

Part of `mawja bench`; `python -m services.tools.bench.campaign` measures it by itself, with as many
recipients as it is told.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from mawja.broadcast.v1 import campaigns_pb2, events_pb2
from mawja.broadcast.v1.campaigns_pb2 import (
    Audience,
    Campaign,
    CampaignPlan,
    CampaignText,
    UploadAudienceStart,
)

from services.local.progress import Progress
from services.local.system import System, token
from services.runtime.clock import monotonic_s, now_ms
from services.runtime.errors import MawjaError
from services.runtime.identity import Role
from services.tools.bench.figures import Run
from services.tools.bench.probe import processor_s
from services.tools.bench.sms import bare, rate_of, submits_in
from services.tools.campaigns.office import Office
from services.tools.campaigns.pieces import Pieces
from services.tools.local import make_parts, smsc_record, write_carriers

PEOPLE = 20_000
PROCESSES = 2
"""Of broadcast: as many as the floor and its SMS centre have."""
_ROUNDS = 2
_UNTIL_S = 190.0
_NO_PACE = 100_000
_BARE = 60_000
"""Most parts that the bare loop sends: its pace shows in seconds, also beside a million."""
_REHEARSAL_S, _SENT_S = 600.0, 1_800.0
_TEXTS = (
    CampaignText(language="ar", template="ملجأ {place} مفتوح الآن لسكان حيكم"),
    CampaignText(language="en", template="Shelter {place} is open now for your district"),
)


def campaigns(done: Run, env: Mapping[str, str]) -> None:
    """What there is time for, as with intake: fewer rounds rather than a run that nobody awaits."""
    for number in range(_ROUNDS):
        if number and done.late(_UNTIL_S):
            return
        campaign(done, env)


def campaign(
    done: Run, env: Mapping[str, str], people: int = PEOPLE, processes: int = PROCESSES
) -> None:
    """One round: a file is brought, rehearsed, approved and sent; then the same parts bare."""
    if done.parts.local_smsc is None:
        done.progress.say("campaign: not measured: MAWJA_SMPP names an SMS centre of your own")
        return
    record = smsc_record(done.parts.home)
    system = System(done.parts, env=env, rooms=("broadcast",), replicas={"broadcast": processes})
    done.progress.update("campaign: starting …")
    system.start()
    try:
        begin, used_s = _sent(done, system, record, people)
    finally:
        system.stop()
    through = submits_in(record)[begin:]
    each_us = used_s / max(1, len(through)) * 1e6
    done.note("cpu_us.campaign", each_us)
    done.progress.update("campaign: the bare loop …")
    rate, bare_rate = rate_of(through), rate_of(bare(done, through[:_BARE]))
    done.note("campaign.messages_per_s", rate)
    done.note("campaign.bare_per_s", bare_rate)
    done.note("campaign.ratio", rate / bare_rate)
    done.progress.say(
        f"campaign: {rate:,.0f} messages/s, {bare_rate:,.0f} bare, {rate / bare_rate:.2f}; "
        f"{each_us:,.0f} µs of broadcast's processor time each"
    )


def _sent(done: Run, system: System, record: Path, people: int) -> tuple[int, float]:
    """Brings a file and sends to it. Gives how many submits there were before, and the processor
    seconds that sending took."""
    target = system.target("broadcast")
    makers = [
        Office(target, token(system.keys, name, Role.COORDINATOR)) for name in ("bench", "other")
    ]
    maker, other = makers
    pids = [one.process.pid for one in system.running]
    list_file = done.parts.home / "bench" / "people.csv"
    list_file.parent.mkdir(exist_ok=True)
    list_file.write_bytes(b"".join(listed(people)))
    try:
        before_mb, began_s = _peak_mb(pids), monotonic_s()
        start = UploadAudienceStart(name="people.csv", country="AE", drill=True)
        taken = maker.upload(start, Pieces(list_file, lambda _: None))
        took_s = monotonic_s() - began_s
        done.note("campaign.queued_per_s", taken.recipients / took_s)
        done.note("campaign.queued_peak_mb", _peak_mb(pids) - before_mb)
        done.progress.say(
            f"campaign: {taken.recipients:,} recipients from CSV to queued in {took_s:.1f} s, "
            f"{_peak_mb(pids) - before_mb:.0f} MB more"
        )
        seen = maker.create(_plan(taken.audience_id))
        began_s = monotonic_s()
        maker.do("Rehearse", seen.campaign_id)
        seen = _until(maker, seen, campaigns_pb2.CAMPAIGN_STATE_REHEARSED, _REHEARSAL_S)
        done.progress.say(f"campaign: rehearsed in {monotonic_s() - began_s:.1f} s")
        other.do("Approve", seen.campaign_id, rehearsal_hash=seen.rehearsal.hash)
        # What was left of the single messages has gone by now.
        begin, before_s = len(submits_in(record)), processor_s(system)["broadcast"]
        maker.do("Start", seen.campaign_id)
        done.progress.update(f"campaign: sending to {people:,} …")
        _until(maker, seen, campaigns_pb2.CAMPAIGN_STATE_COMPLETED, _SENT_S)
        return begin, processor_s(system)["broadcast"] - before_s
    finally:
        list_file.unlink()
        for one in makers:
            one.close()


def listed(people: int) -> Iterator[bytes]:
    """A file of so many synthetic mobiles, each with a language and a place."""
    yield "رقم الجوال,اللغة,place\n".encode()
    for index in range(people):
        yield f"+9995{index:08d},{'en' if index % 3 == 0 else 'ar'},{index % 97}\n".encode()


def _plan(audience_id: str) -> CampaignPlan:
    return CampaignPlan(
        name="bench",
        kind=events_pb2.CAMPAIGN_KIND_INFORMATION,
        drill=True,
        audience=Audience(upload=audience_id),
        texts=_TEXTS,
        corrections=_TEXTS[:1],
        language="ar",
        expires_ms=now_ms() + 6 * 3_600_000,
    )


def _until(office: Office, campaign: Campaign, state: int, limit_s: float) -> Campaign:
    deadline = monotonic_s() + limit_s
    while campaign.state != state:
        if monotonic_s() > deadline:
            raise MawjaError(f"the campaign did not get on within {limit_s:.0f} s")
        sleep(0.2)
        campaign = office.get(campaign.campaign_id).campaign
    return campaign


def _peak_mb(pids: Sequence[int]) -> float:
    """The most memory that each process ever had, together, in MB; 0 where nobody tells."""
    found = 0.0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return 0.0
        peak = next((one for one in status.splitlines() if one.startswith("VmHWM:")), "VmHWM: 0")
        found += int(peak.split()[1]) / 1e3
    return found


def main() -> int:
    """`python -m services.tools.bench.campaign [--people N]`."""
    parser = argparse.ArgumentParser(
        prog="python -m services.tools.bench.campaign",
        description="A campaign beside a bare SMPP loop, on parts of its own.",
    )
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    options = parser.parse_args()
    progress = Progress()
    with (
        TemporaryDirectory() as folder,
        make_parts(Path(folder), brokers=1, profile="default", progress=progress) as parts,
    ):
        env = {"MAWJA_CARRIERS": str(write_carriers(parts, _NO_PACE))}
        done = Run(parts, progress, parts.home / "keys", iter(()))
        for _ in range(options.rounds):
            campaign(done, env, options.people, options.processes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
