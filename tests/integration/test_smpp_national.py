"""A text in national tables, over a real wire to the SMS centre, is what people see."""

import pytest

from services.broadcast.carriers.base import Accepted, OutPart
from services.broadcast.segments import Wire
from services.local.smsc.record import reassemble
from services.runtime.smpp_text import DEFAULT_SHIFT
from tests.smpp_rig import Got, Starter, bound, until

WIRE = Wire(national=("hi", "ur", "bn", "ml"))


@pytest.mark.parametrize(
    "text",
    [
        "आपका अनुरोध मिल गया है, हम आपको जल्द ही फिर से कॉल करेंगे। कृपया प्रतीक्षा करें।",
        "آپ کی درخواست موصول ہو چکی ہے، ہم جلد آپ سے رابطہ کریں گے۔ " * 4,
        "আপনার অনুরোধ পাওয়া গেছে, আমরা শীঘ্রই আপনাকে ফোন করব. ধন্যবাদ, GovCare UAE",
        "താങ്കളുടെ അപേക്ഷ ലഭിച്ചു, ഞങ്ങൾ ഉടൻ തിരികെ വിളിക്കും. ദയവായി കാത്തിരിക്കുക",
    ],
)
async def test_it_arrives_letter_for_letter(smsc: Starter, text: str) -> None:
    centre, got, cut = smsc(), Got(), WIRE.split(text)
    assert cut.shift != DEFAULT_SHIFT
    parts = [
        OutPart("+999512345678", "MAWJA", payload, cut.data_coding, cut.udhi, 7, True)
        for payload in cut.payloads(7)
    ]
    async with bound(centre.port, got) as carrier:
        outcomes = await carrier.submit_many(parts)
        await until(lambda: len(got.receipts) == len(parts))
    assert all(isinstance(one, Accepted) for one in outcomes)
    (shown,) = reassemble(centre.submits())
    assert (shown.text, shown.complete) == (text, True)
