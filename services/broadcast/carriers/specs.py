"""What the file of carriers says of one carrier: what all have, and each kind's own account. Pure.

- name: etisalat
  kind: smpp
  declared: live              # test: reaches no citizen
  sender: GovCare             # what people see: 1-11 letters, a short code or +number
  parts_per_second: 200       # agreed with the carrier, for each process of broadcast
  price: {currency: AED, milli: 45}  # of a part, in thousandths; left out: nobody knows
  host: smsc.example.ae
  port: 2775
  system_id: mawja
  password_file: etisalat.password   # beside this file, or absolute
  binds: 2
  tls: {ca_file: etisalat.pem}       # {} trusts what the machine trusts; none is plain TCP
  national: [hi, ur, bn, ml]  # national language tables (TS 23.038) it says that it has
  id_format: hex_to_dec       # answers write ids in hex, receipts in decimal; dec_to_hex; same
  alphabet: gsm7              # what its data_coding 0 means: gsm7, latin1 or ascii
  country: AE                 # of numbers that it brings without their country code
  data_coding_1: gsm7         # what people's messages under data_coding 1 hold; by itself ascii
- name: aggregator
  kind: http                  # carriers/http.py has the requests and the webhook
  declared: live
  sender: GovCare
  parts_per_second: 80
  url: https://sms.example/v1/messages
  authorization_file: aggregator.authorization   # the whole header, e.g. Bearer abc
  secret_file: aggregator.secret                 # of the webhook: whsec_ and base64
- name: whatsapp
  kind: whatsapp              # carriers/whatsapp.py
  declared: live
  parts_per_second: 60
  url: https://graph.facebook.com/v24.0
  phone_number_id: "106540352242922"
  token_file: whatsapp.token
  app_secret_file: whatsapp.app-secret
  verify_token_file: whatsapp.verify-token
  template: agency_notice     # left out: free text, which reaches only who wrote in 24 hours
  template_languages: [en, ar]       # the first is for every other language
- name: bureau
  kind: files                 # carriers/filedrop.py
  declared: live
  sender: GovCare
  parts_per_second: 500
  outbox: /var/spool/bureau/out      # we write here, the carrier fetches
  inbox: /var/spool/bureau/in        # the carrier puts receipts here
  format: jsonl
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, TypeAlias, cast
from urllib.parse import urlsplit

import phonenumbers

from services.broadcast.carriers.deliver import Dialect, IdFormat
from services.broadcast.segments import NATIONAL, Wire
from services.runtime.smpp_text import Alphabet
from services.runtime.yaml_fields import Fields

Validity = Literal["absolute", "relative", "none"]
Format = Literal["jsonl", "csv"]

KINDS = ("smpp", "http", "whatsapp", "files")
TEXT_CHARACTERS = 4096
"""Most characters of a WhatsApp text message's body (Cloud API reference, `text.body`)."""
TEMPLATE_CHARACTERS = 1024
"""Most characters of a WhatsApp template's body, its own words included (Cloud API, templates)."""
_TEMPLATE_WORDS = 200
"""Of which so many are left to the template's own words."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SENDER = re.compile(r"\+?\d{1,20}|[ -~]{1,11}")
_COUNTRY = re.compile(r"[A-Z]{2}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(_[A-Z]{2})?")
# ISO 4217's form; its list changes more often than this file.
_CURRENCY = re.compile(r"[A-Z]{3}")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """How a connection is secured. Files are beside the file of carriers, or absolute.

    `ca_file` empty: what the machine trusts. `server_name` empty: the host's own name.
    """

    ca_file: str = ""
    server_name: str = ""
    certificate_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class SmppAccount:
    """An account at an SMS centre."""

    host: str
    port: int
    system_id: str
    password_file: str
    system_type: str = ""
    enquire_link_s: float = 15.0
    tls: TlsSpec | None = None


@dataclass(frozen=True, slots=True)
class HttpAccount:
    """An account at an aggregator. `authorization_file` holds the whole header."""

    url: str
    authorization_file: str
    secret_file: str
    tls: TlsSpec = field(default_factory=TlsSpec)


@dataclass(frozen=True, slots=True)
class WhatsappAccount:
    """A number at WhatsApp's Cloud API. `url` ends with the version. Without `template` messages
    are free text; `template_languages` are those that it was approved in."""

    url: str
    phone_number_id: str
    token_file: str
    app_secret_file: str
    verify_token_file: str
    template: str = ""
    template_languages: tuple[str, ...] = ()
    tls: TlsSpec = field(default_factory=TlsSpec)


@dataclass(frozen=True, slots=True)
class FilesAccount:
    """Two folders that the carrier has too. A file is closed after `batch_s` seconds or
    `batch_messages`; with `unfetched` of them in the outbox nothing more is written."""

    outbox: str
    inbox: str
    format: Format = "jsonl"
    batch_s: float = 1.0
    batch_messages: int = 5000
    unfetched: int = 100


Account: TypeAlias = SmppAccount | HttpAccount | WhatsappAccount | FilesAccount


@dataclass(frozen=True, slots=True)
class Price:
    """What a part costs: `milli` thousandths of `currency` (an ISO 4217 code)."""

    currency: str
    milli: int


@lru_cache
def _sms(alphabet: Alphabet, national: tuple[str, ...]) -> Wire:
    return Wire(alphabet, national)


@dataclass(frozen=True, slots=True)
class CarrierSpec:
    """One carrier of the file. Times are seconds; `parts_per_second` is for one process; `price` is
    that of a part (of a message, where it takes whole ones), None where the file says none.

    `window` is the most that is under way on each of its `binds`. `validity` says how the end of a
    message's life is told to the carrier: as an instant, as a time from arrival, or not at all (for
    a carrier whose clock or parser cannot be trusted).
    """

    name: str
    declared: Literal["test", "live"]
    sender: str
    parts_per_second: float
    account: Account
    binds: int = 1
    window: int = 200
    response_timeout_s: float = 10.0
    validity: Validity = "absolute"
    dialect: Dialect = field(default_factory=Dialect)
    national: tuple[str, ...] = ()
    price: Price | None = None

    @property
    def wire(self) -> Wire:
        """What its wire can hold; texts are cut for it. An aggregator and a bureau take whole texts
        and send them as SMS, so theirs are cut too, for the pace and the price."""
        if not isinstance(self.account, WhatsappAccount):
            return _sms(self.dialect.alphabet, self.national)
        if self.account.template:
            return Wire(whole=TEMPLATE_CHARACTERS - _TEMPLATE_WORDS, one_line=True)
        return Wire(whole=TEXT_CHARACTERS)


def carrier_of(fields: Fields) -> CarrierSpec:
    """The carrier that a mapping of the file says.

    Raises ConfigError naming the line, the field and what it takes.
    """
    name = fields.text("name", _NAME, "1 to 32 of a-z, 0-9 and -")
    kind = fields.one_of("kind", KINDS)
    declared = cast(Literal["test", "live"], fields.one_of("declared", ("test", "live")))
    sender = fields.text(
        "sender",
        _SENDER,
        "1-11 letters, a short code or +number",
        # There people see the number's own profile.
        default="" if kind == "whatsapp" else None,
    )
    pace = fields.number("parts_per_second", 0.01, 1e6)
    account: Account
    binds, dialect, national = 1, Dialect(), tuple[str, ...]()
    validities: tuple[Validity, ...] = ("absolute", "relative", "none")
    match kind:
        case "smpp":
            account = _smpp(fields)
            binds = int(fields.number("binds", 1, 64, whole=True, default=1))
            dialect = _dialect(fields)
        case "http":
            account, validities = _http(fields), ("relative", "none")
        case "whatsapp":
            account, validities = _whatsapp(fields), ("none",)
        case _:
            account, validities = _files(fields), ("absolute", "none")
    if kind != "whatsapp":
        national = fields.some_of("national", NATIONAL, default=())
        if national and dialect.alphabet is not Alphabet.GSM7:
            raise fields.wrong("national", "needs alphabet: gsm7; the tables stand in its place")
    spec = CarrierSpec(
        name=name,
        declared=declared,
        sender=sender,
        parts_per_second=pace,
        account=account,
        binds=binds,
        window=int(
            fields.number(
                "window", 1, 100_000, whole=True, default=5000 if kind == "files" else 200
            )
        ),
        response_timeout_s=fields.number("response_timeout_s", 0.1, 300, default=10),
        validity=cast(Validity, fields.one_of("validity", validities, validities[0])),
        dialect=dialect,
        national=national,
        price=_price(fields) if "price" in fields.names() else None,
    )
    fields.finish()
    return spec


def _price(fields: Fields) -> Price:
    within = fields.within("price")
    price = Price(
        currency=within.text("currency", _CURRENCY, "3 capital letters of ISO 4217, e.g. AED"),
        milli=int(within.number("milli", 0, 1_000_000, whole=True)),
    )
    within.finish()
    return price


def _smpp(fields: Fields) -> SmppAccount:
    return SmppAccount(
        host=fields.text("host"),
        port=int(fields.number("port", 1, 65_535, whole=True)),
        system_id=fields.text("system_id", re.compile(r"[!-~]{1,15}"), "1 to 15 characters"),
        password_file=fields.text("password_file"),
        system_type=fields.text(
            "system_type", re.compile(r"[!-~]{0,12}"), "0 to 12 characters", default=""
        ),
        enquire_link_s=fields.number("enquire_link_s", 1, 3600, default=15),
        tls=_tls(fields) if "tls" in fields.names() else None,
    )


def _dialect(fields: Fields) -> Dialect:
    country = fields.text("country", _COUNTRY, "a country's two letters, e.g. AE", default="")
    if country and country not in phonenumbers.SUPPORTED_REGIONS:
        raise fields.wrong("country", "is no country with telephone numbers (ISO 3166)")
    return Dialect(
        id_format=cast(
            IdFormat, fields.one_of("id_format", ("same", "hex_to_dec", "dec_to_hex"), "same")
        ),
        alphabet=Alphabet(
            fields.one_of("alphabet", [one.value for one in Alphabet], Alphabet.GSM7.value)
        ),
        data_coding_1=Alphabet(
            fields.one_of("data_coding_1", [one.value for one in Alphabet], Alphabet.ASCII.value)
        ),
        utc_offset_min=int(
            fields.number("receipt_utc_offset_min", -840, 840, whole=True, default=0)
        ),
        country=country,
    )


def _http(fields: Fields) -> HttpAccount:
    return HttpAccount(
        url=_url(fields),
        authorization_file=fields.text("authorization_file"),
        secret_file=fields.text("secret_file"),
        tls=_tls(fields),
    )


def _whatsapp(fields: Fields) -> WhatsappAccount:
    template = fields.text(
        "template", re.compile(r"[a-z0-9_]{1,512}"), "lower-case letters, digits and _", default=""
    )
    languages = fields.texts(
        "template_languages", _LANGUAGE, "a list of languages, e.g. [en, ar]", default=()
    )
    if bool(template) != bool(languages):
        raise fields.wrong(
            "template_languages", "are those that the template was approved in: both or neither"
        )
    return WhatsappAccount(
        url=_url(fields).rstrip("/"),
        phone_number_id=fields.text("phone_number_id", re.compile(r"\d{1,20}"), "1 to 20 digits"),
        token_file=fields.text("token_file"),
        app_secret_file=fields.text("app_secret_file"),
        verify_token_file=fields.text("verify_token_file"),
        template=template,
        template_languages=languages,
        tls=_tls(fields),
    )


def _files(fields: Fields) -> FilesAccount:
    account = FilesAccount(
        outbox=fields.text("outbox"),
        inbox=fields.text("inbox"),
        format=cast(Format, fields.one_of("format", ("jsonl", "csv"), "jsonl")),
        batch_s=fields.number("batch_s", 0.01, 2, default=1),
        batch_messages=int(fields.number("batch_messages", 1, 50_000, whole=True, default=5000)),
        unfetched=int(fields.number("unfetched", 1, 100_000, whole=True, default=100)),
    )
    if account.outbox == account.inbox:
        raise fields.wrong("inbox", "must be another folder than the outbox")
    return account


def _url(fields: Fields) -> str:
    url = fields.text(
        "url",
        re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?"),
        "must be https://host/path, without user, query or fragment",
    )
    try:
        split = urlsplit(url)
        host, _ = split.hostname, split.port
    except ValueError:
        raise fields.wrong("url", "must have a port from 1 to 65535, or none") from None
    if split.scheme != "https" and host not in _LOOPBACK:
        raise fields.wrong("url", "must be https: numbers, texts and the key go through it")
    return url


def _tls(fields: Fields) -> TlsSpec:
    within = fields.within("tls")
    tls = TlsSpec(
        ca_file=within.text("ca_file", default=""),
        server_name=within.text("server_name", default=""),
        certificate_file=within.text("certificate_file", default=""),
        key_file=within.text("key_file", default=""),
    )
    if bool(tls.certificate_file) != bool(tls.key_file):
        raise within.wrong("key_file", "and certificate_file: both or neither")
    within.finish()
    return tls
