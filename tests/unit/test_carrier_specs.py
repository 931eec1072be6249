"""What the file of carriers may say of each kind, and how a mistake is named."""

import pytest

from services.broadcast.carriers.specs import (
    FilesAccount,
    HttpAccount,
    Price,
    SmppAccount,
    TlsSpec,
    WhatsappAccount,
)
from services.broadcast.routes import parse
from services.broadcast.segments import TextError
from services.runtime.errors import ConfigError
from services.runtime.smpp_text import Alphabet

FILE = """
carriers:
  - name: aggregator
    kind: http
    declared: live
    sender: GovCare
    parts_per_second: 80
    url: https://sms.example:8443/v1/messages
    authorization_file: aggregator.authorization
    secret_file: aggregator.secret
    tls: {ca_file: aggregator.pem}
  - name: whatsapp
    kind: whatsapp
    declared: live
    parts_per_second: 60
    url: https://graph.facebook.com/v24.0/
    phone_number_id: "106540352242922"
    token_file: whatsapp.token
    app_secret_file: whatsapp.app-secret
    verify_token_file: whatsapp.verify-token
    template: agency_notice
    template_languages: [en, ar]
  - name: bureau
    kind: files
    declared: live
    sender: GovCare
    parts_per_second: 500
    outbox: /var/spool/bureau/out
    inbox: /var/spool/bureau/in
    format: csv
  - name: secured
    kind: smpp
    declared: live
    sender: GovCare
    parts_per_second: 200
    host: smsc.example
    port: 3550
    system_id: mawja
    password_file: secured.password
    binds: 4
    tls: {}
    price: {currency: AED, milli: 45}
routes:
  - {prefix: "+", carrier: aggregator}
"""


def test_what_data_coding_1_means_is_the_carriers_own() -> None:
    told = FILE.replace("    tls: {}\n", "    tls: {}\n    data_coding_1: gsm7\n")
    assert parse(told, "carriers.yaml").carriers["secured"].dialect.data_coding_1 is Alphabet.GSM7
    by_itself = parse(FILE, "carriers.yaml").carriers["secured"].dialect
    assert by_itself.data_coding_1 is Alphabet.ASCII
    with pytest.raises(ConfigError, match="data_coding_1"):
        parse(told.replace("gsm7", "ucs2"), "carriers.yaml")


def test_each_kind_has_its_own_account() -> None:
    carriers = parse(FILE, "carriers.yaml").carriers
    http = carriers["aggregator"]
    assert http.account == HttpAccount(
        "https://sms.example:8443/v1/messages",
        "aggregator.authorization",
        "aggregator.secret",
        TlsSpec(ca_file="aggregator.pem"),
    )
    assert (http.validity, http.window, http.binds) == ("relative", 200, 1)
    whatsapp = carriers["whatsapp"]
    assert isinstance(whatsapp.account, WhatsappAccount)
    assert whatsapp.account.url == "https://graph.facebook.com/v24.0"
    assert (whatsapp.validity, whatsapp.sender) == ("none", "")
    files = carriers["bureau"]
    assert isinstance(files.account, FilesAccount)
    assert (files.account.format, files.validity, files.window) == ("csv", "absolute", 5000)
    smpp = carriers["secured"]
    assert isinstance(smpp.account, SmppAccount)
    assert (smpp.account.tls, smpp.binds) == (TlsSpec(), 4)
    assert (smpp.price, http.price) == (Price("AED", 45), None)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("kind: http", "kind: htp", 4, "kind: must be smpp or http or whatsapp or files"),
        ("https://sms.example:8443", "http://sms.example:8443", 8, "url: must be https"),
        ("https://sms.example:8443", "https://user@sms.example", 8, "url: must be https://host"),
        ("example:8443/v1", "example:99999/v1", 8, "url: must have a port"),
        ("    secret_file: aggregator.secret\n", "", 3, "secret_file: is missing"),
        ("tls: {ca_file:", "tls: {ca_fil:", 11, "tls.ca_fil: is not known here"),
        ("tls: {}", "tls: {key_file: k.pem}", 41, "tls.key_file: and certificate_file: both"),
        ("    outbox: /v", "    validity: relative\n    outbox: /v", 28, "absolute or none"),
        ("format: csv", "format: xlsx", 30, "format: must be jsonl or csv"),
        ("bureau/out", "bureau/in", 29, "inbox: must be another folder"),
        ("    template: agency_notice\n", "", 21, "template_languages: are those"),
        ('"106540352242922"', "+9714", 17, "phone_number_id: 1 to 20 digits"),
        ("    format: csv", "    binds: 2", 30, "binds: is not known here"),
        ("    tls: {}", "    url: https://a", 41, "url: is not known here"),
        ("    tls: {}", "    country: ae", 41, "country: a country's two letters"),
        ("    tls: {}", "    country: XX", 41, "country: is no country with telephone"),
        ("currency: AED", "currency: Dirham", 42, "price.currency: 3 capital letters"),
        ("currency: AED, ", "", 42, "price.currency: is missing"),
        ("milli: 45", "milli: 4.5", 42, "price.milli: must be a whole number"),
        ("milli: 45", "milli: -1", 42, "price.milli: must be a whole number from 0"),
        ("milli: 45", "milli: 45, each: part", 42, "price.each: is not known here"),
    ],
)
def test_a_mistake_is_named_by_line_field_and_rule(
    old: str, new: str, line: int, says: str
) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as refused:
        parse(FILE.replace(old, new, 1), "carriers.yaml")
    assert str(refused.value).startswith(f"carriers.yaml, line {line}: "), refused.value
    assert says in str(refused.value)


def test_plain_http_goes_no_further_than_this_machine() -> None:
    for host in ("127.0.0.1:8080", "localhost"):
        parse(FILE.replace("https://sms.example:8443", f"http://{host}"), "carriers.yaml")


def test_whatsapp_counts_no_parts_and_takes_what_its_template_takes() -> None:
    carriers = parse(FILE, "carriers.yaml").carriers
    wire = carriers["whatsapp"].wire
    assert wire.holds("انقطاع 💧")
    assert wire.split("ا" * 824).part_count == 1
    for text in ("ا" * 825, "two\nlines", "a\ttab", "a     gap", "\ud800"):
        with pytest.raises(TextError):
            wire.split(text)
    text = FILE.replace("    template: agency_notice\n    template_languages: [en, ar]\n", "")
    free = parse(text, "carriers.yaml").carriers["whatsapp"].wire
    assert free.split("two\nlines" + "x" * 4087).part_count == 1
    assert carriers["aggregator"].wire.split("ا" * 71).part_count == 2
