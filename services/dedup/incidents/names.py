"""Words by which a person may be known in a text: names that are common in the Gulf, the words that
a name follows, and numbers written out. In whatever script people write them; compared in the
spelling of `normalise`. Pure.
"""

from services.dedup.normalise import normalise


def _spelt(text: str) -> frozenset[str]:
    return frozenset(map(normalise, text.split()))


NAMES = _spelt("""
محمد احمد محمود حمد حمدان حامد علي حسن حسين حسنين عمر عمرو عثمان خالد خليفة خليل سعيد سعد سعود سالم
سليم سليمان سلمان سلطان سيف سامي سمير صالح صلاح طارق طلال عادل عامر عباس عبدالله عبدالرحمن عبدالعزيز
عبدالكريم فهد فيصل فارس فاروق فواز قاسم كريم ماجد مازن مبارك مروان مسعود مصطفى منصور مهند موسى
ناصر نايف نبيل نواف هادي هاشم هزاع هيثم وليد ياسر ياسين يحيى يوسف يونس يعقوب راشد رامي رياض زايد
زياد
زيد بدر بندر بلال تركي ثامر جابر جاسم جعفر جمال جمعة حازم حاتم حميد ذياب داود ابراهيم اسماعيل ادريس
ايمن انس اسامة اياد ادم عيسى عصام عماد غانم غازي مشعل معاذ معتز محسن مشاري شهاب ضاحي عبيد
فاطمة مريم عائشة عايشة خديجة زينب سارة ساره نورة نوره هند هدى هبة هاجر حصة موزة شيخة شما شمسة لطيفة
ليلى لمى لينا منى منال مها ميثا مروة نادية نجلاء نوال نوف رقية ريم رنا رانيا روضة سلمى سلوى سعاد
سميرة
سمية سناء شيماء صفية ضحى عبير عفاف علياء غادة فوزية كوثر وداد وضحى ياسمين امنة آمنة اسماء اميرة
ايمان
بدرية بشرى جميلة جواهر حليمة حنان دلال دانة رحاب زهراء زهرة عواطف
mohammed mohamed muhammad mohammad mohd mohamad ahmed ahmad mahmoud mahmood hamad hamdan hamed ali
hassan hasan hussain hussein husain omar umar osman othman khalid khaled khalifa khalil saeed
saad saud salem salim suleiman sulaiman salman sultan saif sami samir saleh salah tariq tarek talal
adel amer abbas abdullah abdulla abdallah abdul abdulrahman abdelrahman abdulaziz fahad fahd faisal
faris farouq fawaz qasim kareem karim majid majed mazen mubarak marwan masood mustafa mostafa
mansour
mansoor mohannad musa moosa nasser naser nayef nabil nawaf hadi hashim hazza haitham waleed walid
yasser yasin yahya yousef yousuf yusuf younis rashid rashed rami riyad zayed ziad zaid badr bandar
bilal turki jaber jassim jasim jafar jamal juma hazem hatem hameed ibrahim ismail idris ayman anas
osama adam issa essa emad ghanem mishal muath obaid
fatima fatma fatema fathima mariam maryam aisha ayesha aysha khadija zainab zaynab sara sarah noura
nora noor hind huda heba hessa moza sheikha shamma shamsa latifa layla laila leila lina mona manal
maha maitha marwa nadia najla nawal nouf reem rana rania salma salwa suad samira sana shaima safia
abeer afaf alia aliya ghada fawzia yasmin yasmeen amna asma amira iman eman bushra jamila jawaher
halima hanan dalal dana
raj rajesh ramesh suresh mahesh ganesh dinesh mukesh rakesh sanjay vijay ajay anil sunil kumar singh
sharma verma gupta patel khan iqbal imran irfan asif arif shahid zahid nadeem naveed rahman rahim
karim hossain islam uddin begum bibi priya pooja anita sunita kavita lakshmi deepa deepak amit rohit
rahul ravi arjun krishna mohan nair menon pillai thomas mathew varghese joseph george biju shaji
sreeja bindu suja rekha
राजेश रमेश सुरेश महेश संजय विजय अजय अनिल सुनील कुमार सिंह शर्मा अमित राहुल रवि मोहन प्रिया पूजा
सुनीता
मोहम्मद अहमद अली खान فاطمہ عائشہ خان اقبال عمران عرفان آصف عارف شاہد زاہد بیگم
মোহাম্মদ আহমেদ আলী রহমান রহিম করিম হোসেন ইসলাম ফাতেমা বেগম খান
മുഹമ്മദ് അഹമ്മദ് രാജേഷ് കുമാർ നായർ മേനോൻ തോമസ് ജോസഫ് ഫാത്തിമ
juan jose maria marie mary joseph jun john michael angelo angelica rosa anna
cruz santos reyes garcia mendoza ramos flores delacruz christian christine jennifer jocelyn liza
carlo carlos antonio ramon rey roberto ricardo eduardo fernando gloria lorna marites rowena
""")
"""Given names above all. Struck out wherever they stand."""

NAMING = _spelt("""
أبو ابو بو يبو وبو لبو أم ام يام وام لام بن ابن بنت آل اسمي اسمه اسمها الاسم اسم المدعو المدعوة
يدعى تدعى يسمى تسمى
السيد السيدة الأستاذ استاذ استاذة الدكتور دكتور دكتورة د الشيخ الشيخة الحاج الحاجة المهندس مهندس
abu abo bu om umm um bin bint ben ibn name names named called mr mrs ms miss dr doctor sheikh
sheikha sir madam maam ismi esmi ismha isma naam nam mohtarma sahib saheb
नाम श्री श्रीमती نام محترم محترمہ নাম জনাব പേര് pangalan si ni kay
""")
"""What a name of up to four words follows, whatever comes first."""

KIN = _spelt("""
ابوي ابويا ابوه ابوها والدي والدتي والده والدته الوالد الوالدة امي أمي يمه امه امها ابني ابنه ابنها
ابنتي ابنته بنتي بنته بنتها ولدي ولده ولدها ولد طفلي طفلتي اخوي أخوي أخي اخوه اخوها اختي أختي اخته
خالي خالتي عمي عمتي جدي جدتي جده زوجي زوجتي زوجها زوجته حرمتي رجلي ريلي يدي يدوه العم الخالة الاخ
الأخ الأخت الاخت صديقي صديقتي رفيجي رفيقي ربيعي جاري جارتي جارنا جارتنا نسيبي كفيلي
معك معكم معاك معاكم المواطن المواطنة المقيم المريض المريضة تحياتي اخوكم اخوك اختكم ابنكم المرسل
المرسلة
uncle aunt aunty auntie brother sister son daughter mother father wife husband mama baba cousin
friend neighbour neighbor nephew niece grandfather grandmother maid driver nanny regards
ommi omi abooy abooi ubuy ubooy okhoy akhoy okhti wldi waldi bnti benti 3ammi 5ali
bhai bhaiya behen didi beta beti abbu ammi chacha
भाई बहन बेटा बेटी भैया दीदी بھائی بہن بیٹا بیٹی والد والدہ ভাই আপা ছেলে মেয়ে
kuya ate tito tita anak nanay tatay ചേട്ടൻ ചേച്ചി മകൻ മകൾ
""")
"""What two words of a name may follow, unless it goes on about something else."""

SAYING_WHO = _spelt("""
أنا انا انه am iam im i'm this its it's ana ako मैं میں আমি আমার ഞാൻ
""")
"""The same, of who writes."""

GOES_ON = _spelt("""
في من على مع عند عالق عالقة عالقين محتاج محتاجة محبوس محبوسة حامل مريض مريضة ساكن ساكنة ما مب مو مش
لا لم لن
ابي ابغى اريد بحاجة خايف خايفة وحدي
is are was in at on from with and the a an of to for not no so very still here there stuck trapped
alone calling asking pregnant sick unable afraid scared lost diabetic injured bleeding unwell my our
your his her has have needs need about urgent emergency road house street area
cannot can't don't doesn't didn't isn't never nahi nahin नहीं نہیں না ഇല്ല hindi wala has hai है
में ہے میں fi w min
""")
"""Words that show that what precedes was all of a name."""

COUNTING = _spelt("""
zero oh one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
double triple
صفر واحد واحده اثنين اثنان ثنين ثلاثه ثلاث تلاته اربعه اربع خمسه خمس سته ست سبعه سبع ثمانيه ثمان
ثماني
تمنيه تسعه تسع عشره عشر عشرين عشرون ثلاثين اربعين خمسين ستين سبعين ثمانين تسعين ميه مئة
sifr sefr wahad wahed ithnain ithnein thnain thalatha arba3a arbaa khamsa khams sitta sitt saba3a
sab3a thamanya thaman tis3a tisa
ek do teen char chaar paanch panch che chhe saat sat aath ath nau das shunya
शून्य एक दो तीन चार पांच पाँच छह सात आठ नौ दस صفر ایک دو تین چار پانچ چھ سات آٹھ نو
শূন্য এক দুই তিন চার পাঁচ ছয় সাত আট নয় പൂജ്യം ഒന്ന് രണ്ട് മൂന്ന് നാല് അഞ്ച് ആറ് ഏഴ് എട്ട് ഒമ്പത്
isa dalawa tatlo apat lima anim pito walo siyam
""")

PLACES = _spelt(
    "ابوظبي ابوحليفه ابوعريش ابوسمره ابومريخه abudhabi ظبي حليفه dhabi dhabai hail halifa"
)
"""What follows Abu, or is written with it, and is a place."""
