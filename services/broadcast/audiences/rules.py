"""The closed list of what can be wrong with a row of an audience's file. Pure.

A bad row is named by its line, field and rule. Sentences say what is wrong and what to do, and
never what the row holds: they are shown to people who may not see numbers.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong, with its sentence in both languages."""

    name: str
    english: str
    arabic: str


NUMBER_MISSING = Rule(
    "number-missing",
    "The row has no number; write one, or delete the row.",
    "لا يوجد رقم في هذا الصف؛ اكتب الرقم أو احذف الصف.",
)
TOTAL = Rule(
    "total",
    "The row is a total, not a person; nothing is sent for it.",
    "هذا الصف مجموع وليس شخصاً؛ لن يُرسَل شيء إليه.",
)
DIGITS_LOST = Rule(
    "digits-lost",
    "A spreadsheet rounded the number (as in 9.7E+11), and its last digits are lost; format the "
    "column as text and put the numbers in again.",
    "قرّب برنامج الجداول الرقم (مثل 9.7E+11) فضاعت أرقامه الأخيرة؛ اجعل تنسيق العمود نصاً ثم أعد "
    "إدخال الأرقام.",
)
NUMBER_CHARACTERS = Rule(
    "number-characters",
    "The number has letters or signs in it; leave digits only, with a + before the country code.",
    "في الرقم حروف أو رموز؛ اترك الأرقام فقط، مع علامة + قبل رمز الدولة.",
)
SEVERAL_NUMBERS = Rule(
    "several-numbers",
    "The cell has more than one number; give each a row of its own.",
    "في الخلية أكثر من رقم؛ ضع كل رقم في صف مستقل.",
)
EXTENSION = Rule(
    "extension",
    "The number has an extension, which no message can reach; give a mobile number.",
    "للرقم تحويلة داخلية لا تصل إليها الرسائل؛ اكتب رقم هاتف متحرك.",
)
TOO_SHORT = Rule(
    "too-short",
    "The number has too few digits; write it in full.",
    "أرقام هذا الرقم أقل من اللازم؛ اكتبه كاملاً.",
)
TOO_LONG = Rule(
    "too-long",
    "The number has too many digits; write it as it is dialled.",
    "أرقام هذا الرقم أكثر من اللازم؛ اكتبه كما يُطلب.",
)
COUNTRY_UNKNOWN = Rule(
    "country-unknown",
    "No country has the code that the number begins with; correct what follows the + or 00.",
    "لا توجد دولة برمز بداية هذا الرقم؛ صحّح ما بعد + أو 00.",
)
COUNTRY_NEEDED = Rule(
    "country-needed",
    "The number has no country code and no country was given with the file; give the country, or "
    "write the number with + and its code.",
    "الرقم بلا رمز دولة ولم تُحدَّد دولة مع الملف؛ حدّد الدولة أو اكتب الرقم مع + ورمز دولته.",
)
PLUS_NEEDED = Rule(
    "plus-needed",
    "The number is none of the file's country, but could be one of another; write it with a + if "
    "so, or say that all numbers begin with their country code.",
    "ليس الرقم من دولة الملف، وقد يكون من دولة أخرى؛ إن كان كذلك فاكتبه مع +، أو حدّد أن كل "
    "الأرقام تبدأ برمز دولتها.",
)
NOT_A_NUMBER = Rule(
    "not-a-number",
    "This is not a telephone number of its country; correct it, or write it with + and its country "
    "code.",
    "هذا ليس رقم هاتف في دولته؛ صحّحه أو اكتبه مع + ورمز الدولة.",
)
LANGUAGE = Rule(
    "language",
    "The language is not known; give its code (ar, en, ur), its name, or nothing.",
    "اللغة غير معروفة؛ اكتب رمزها (ar أو en أو ur) أو اسمها أو اترك الخلية فارغة.",
)
TEXT_TOO_LONG = Rule(
    "text-too-long",
    "The text is too long to stand in a message (1,000 characters); shorten it.",
    "النص أطول من أن يوضع في رسالة (1000 حرف)؛ اختصره.",
)
CONTROL_CHARACTER = Rule(
    "control-character",
    "The row has a character that cannot be shown (such as NUL); export the file again, or delete "
    "the character.",
    "في الصف رمز لا يمكن عرضه (مثل NUL)؛ أعد تصدير الملف أو احذف الرمز.",
)
NOT_IN_ENCODING = Rule(
    "not-in-encoding",
    "The row has bytes that are no characters in the file's encoding; write the row anew.",
    "في الصف بيانات ليست حروفاً في ترميز الملف؛ أعد كتابة الصف.",
)
TOO_MANY_CELLS = Rule(
    "too-many-cells",
    "The row has more cells than the file has columns; put quotation marks around the text that "
    "has the separator in it.",
    "خلايا الصف أكثر من أعمدة الملف؛ ضع علامتي تنصيص حول النص الذي فيه الفاصل.",
)
ROW_TOO_LONG = Rule(
    "row-too-long",
    "The row is too long to be of one person (131,072 characters); shorten or delete it.",
    "الصف أطول من أن يخص شخصاً واحداً (131072 حرفاً)؛ اختصره أو احذفه.",
)
QUOTES = Rule(
    "quotes",
    "A quotation mark in the row is opened and not closed as it must be; write it twice where it "
    "belongs to the text, or delete it.",
    "في الصف علامة تنصيص فُتحت ولم تُغلق كما يجب؛ كرّرها إن كانت من النص أو احذفها.",
)
CELL_ERROR = Rule(
    "cell-error",
    "A spreadsheet's error (such as #N/A) stands where a text should; correct the formula.",
    "في الخلية خطأ من برنامج الجداول (مثل ‎#N/A) بدلاً من النص؛ صحّح الصيغة.",
)

RULES = {
    rule.name: rule
    for rule in (
        NUMBER_MISSING,
        TOTAL,
        DIGITS_LOST,
        NUMBER_CHARACTERS,
        SEVERAL_NUMBERS,
        EXTENSION,
        TOO_SHORT,
        TOO_LONG,
        COUNTRY_UNKNOWN,
        COUNTRY_NEEDED,
        PLUS_NEEDED,
        NOT_A_NUMBER,
        LANGUAGE,
        TEXT_TOO_LONG,
        CONTROL_CHARACTER,
        NOT_IN_ENCODING,
        TOO_MANY_CELLS,
        ROW_TOO_LONG,
        QUOTES,
        CELL_ERROR,
    )
}
"""Every rule, by name."""
