"""The page behind an opt-out link, in Arabic and English, in one file that fetches nothing.

It names nobody: who opens somebody else's link learns nothing of them.
"""

import base64
import hashlib
from dataclasses import dataclass

_STYLE = """\
:root{color-scheme:light dark}
body{margin:0;font:1.125rem/1.6 system-ui,"Segoe UI",Tahoma,sans-serif;background:#f4f4f2;\
color:#1a1a1a}
main{max-width:32rem;margin:0 auto;padding:2rem 1.25rem}
section{background:#fff;border-radius:.75rem;padding:1.25rem;margin:0 0 1rem}
h1,h2{font-size:1.375rem;line-height:1.3;margin:0 0 .5rem}
p{margin:0 0 .5rem}
button{font:inherit;font-weight:600;width:100%;min-height:3.5rem;border:0;border-radius:.75rem;\
background:#0b5d4b;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #1a73e8;outline-offset:3px}
@media (prefers-color-scheme:dark){body{background:#161616;color:#f2f2f2}\
section{background:#242424}button{background:#7fd8c2;color:#0b1f1a}}
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    # The address is the person's key to the page: it goes to no other site and no search engine.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
    "Server": "mawja",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says: heading and text in each language, and whether it has the button."""

    status: int
    arabic: tuple[str, str]
    english: tuple[str, str]
    button: bool = False

    def html(self) -> str:
        """The whole file."""
        (title, text), (heading, words) = self.arabic, self.english
        form = (
            '<form method="post"><button type="submit">إيقاف الرسائل · '
            '<span lang="en" dir="ltr">Stop messages</span></button></form>'
            if self.button
            else ""
        )
        return (
            '<!doctype html><html lang="ar" dir="rtl"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title} · {heading}</title><style>{_STYLE}</style></head><body><main>"
            f"<section><h1>{title}</h1><p>{text}</p></section>"
            f'<section lang="en" dir="ltr"><h2>{heading}</h2><p>{words}</p></section>'
            f"{form}</main></body></html>"
        )


ASK = Page(
    200,
    (
        "هل تريد إيقاف الرسائل؟",
        "بعد الضغط على الزر لن نرسل إلى هذا الرقم رسائل أخرى. "
        "قد تصلك تحذيرات من خطر يهدد الحياة عندما يقضي القانون بذلك.",
    ),
    (
        "Stop messages?",
        "When you press the button we send no more messages to this number. "
        "Warnings of danger to life may still reach you where the law says so.",
    ),
    button=True,
)
DONE = Page(
    200,
    ("تم إيقاف الرسائل", "لن نرسل إلى هذا الرقم رسائل أخرى. يمكنك إغلاق هذه الصفحة."),
    ("Messages stopped", "We send no more messages to this number. You can close this page."),
)
UNKNOWN = Page(
    404,
    ("الرابط غير صحيح", "انسخ الرابط كاملاً كما ورد في الرسالة، أو اطلب من مركز الاتصال إيقافها."),
    (
        "This link is not right",
        "Copy the whole link as it stands in the message, or ask the contact centre to stop them.",
    ),
)
DEAD = Page(
    410,
    ("انتهت صلاحية الرابط", "استخدم الرابط في أحدث رسالة، أو اطلب من مركز الاتصال إيقافها."),
    (
        "This link is too old",
        "Use the link of the latest message, or ask the contact centre to stop them.",
    ),
)
BUSY = Page(
    429,
    ("الصفحة مشغولة الآن", "لم يتغير شيء. حاول مرة أخرى بعد قليل."),
    ("The page is busy", "Nothing was changed. Try again in a moment."),
)
AWAY = Page(
    503,
    ("لم نتمكن من حفظ طلبك", "لم تتوقف الرسائل بعد. حاول مرة أخرى بعد قليل."),
    (
        "We could not keep your request",
        "Messages are not stopped yet. Try again in a moment.",
    ),
)
