"""Sentences in 27 languages, and odd texts. All of them are our own: words are put together by a seeded generator."""

import random
import unicodedata

SEED = 7
PER_LANGUAGE = 80

# By language: what stands between words, the marks that end a sentence, digits, and words. Few sentences make sense.
LANGUAGES = {
    "english": (" ", ".!?", "0123456789", """the pilot light is small but always burning; people don't read it's warm they've
        walked unbelievably quickly through McDonald's well-known e-mail U.S. co-operate naïve résumé"""),
    "german": (" ", ".!?", "0123456789", """die Straße über großen Ärger Flamme brennt schön Fußgänger Übermaß weiß Äpfel Öl
        Donaudampfschifffahrtsgesellschaft klein und warm GROẞ Bücher lesen nachts"""),
    "french": (" ", [".", " !", " ?"], "0123456789", """l'été qu'il œuvre garçon là-bas où être naïf Noël Ça aujourd'hui «bonjour» la
        petite flamme brûle toujours près d'eux cœur Élève"""),
    "spanish": (" ", ".!?", "0123456789", """¿qué ¡hola mañana niño pingüino corazón la llama pequeña siempre arde Ñandú allí
        están leyendo señor árbol"""),
    "portuguese": (" ", ".!?", "0123456789", """não coração pão avó avô à noite ações chamas pequenas irmão também você Água
        língua três órgão"""),
    "polish": (" ", ".!?", "0123456789", """źdźbło łódź pchnąć w tę zażółć gęślą jaźń Świeca płonie książka ćma ŻÓŁW mały
        ogień dziś wieczór"""),
    "czech": (" ", ".!?", "0123456789", """příliš žluťoučký kůň úpěl ďábelské ódy malý plamen hoří Řeka číst světlo těžký
        šťastný ňadra město"""),
    "turkish": (" ", ".!?", "0123456789", """ışık İstanbul şimdi ılık küçük ağaç öğrenci IŞIK değil çok güzel yağmur Türkçe
        iyi İĞNE kâğıt"""),
    "vietnamese": (" ", ".!?", "0123456789", """ngọn lửa nhỏ luôn cháy tiếng Việt người đọc sách ấm áp đường phố Đà Nẵng
        những buổi tối trời ưa thích quyển"""),
    "indonesian": (" ", ".!?", "0123456789", """api kecil selalu menyala orang-orang membaca buku di malam hari rumah hangat
        kereta berjalan perlahan mempertanggungjawabkan"""),
    "russian": (" ", ".!?", "0123456789", """маленький огонь всегда горит люди читают книги ёлка подъезд Москва съёмка
        холодной ночью й объявление человек-паук"""),
    "ukrainian": (" ", ".!?", "0123456789", """маленький вогонь завжди горить її ґанок п'ять людей читають Київ європа ніч
        тепла об’єкт"""),
    "greek": (" ", [".", "!", ";"], "0123456789", """η μικρή φλόγα καίει πάντα άνθρωποι διαβάζουν ΟΔΟΣ λόγος Ἀθῆναι ψυχή ᾧ
        ΐ φως ς τη νύχτα"""),
    "armenian": (" ", "։՞՜", "0123456789", """փոքր կրակը միշտ վառվում է մարդիկ կարդում են գիրք Երևան և տուն գիշեր ջերմ"""),
    "georgian": (" ", ".!?", "0123456789", """პატარა ცეცხლი ყოველთვის ანთია ადამიანები კითხულობენ წიგნს თბილისი ᲗᲑᲘᲚᲘᲡᲘ
        სახლი ღამე თბილი"""),
    "hebrew": (" ", ".!?", "0123456789", """להבה קטנה תמיד דולקת אנשים קוראים ספר שָׁלוֹם בית בַּיִת לילה חם צה״ל ירושלים"""),
    "arabic": (" ", [".", "!", "؟"], "٠١٢٣٤٥٦٧٨٩", """شعلة صغيرة تضيء دائما الناس يقرؤون كِتَابٌ مُحَمَّد البيت ليلا دافئ لا
        إلى أنّ ـــ القاهرة ﷺ"""),
    "persian": (" ", [".", "!", "؟"], "۰۱۲۳۴۵۶۷۸۹", """شعله کوچک همیشه می‌سوزد مردم کتاب‌ها را می‌خوانند خانهٔ گرم شب گچ پژواک
        تهران"""),
    "hindi": (" ", "।!?", "०१२३४५६७८९", """छोटी लौ हमेशा जलती है लोग किताबें पढ़ते हैं नमस्ते दुनिया घर रात गर्म क़लम ज़मीन
        श्री विद्यार्थी कर्‍"""),
    "bengali": (" ", "।!?", "০১২৩৪৫৬৭৮৯", """ছোট শিখা সবসময় জ্বলে মানুষ বই পড়ে বাড়ি রাত গরম কলকাতা কো সৌর ক্ষমা"""),
    "tamil": (" ", ".!?", "௦௧௨௩௪௫௬௭௮௯", """சிறிய சுடர் எப்போதும் எரிகிறது மக்கள் புத்தகம் படிக்கிறார்கள் வீடு இரவு சென்னை
        கொள் ஸ்ரீ"""),
    "amharic": (" ", "።!?", "0123456789", """ትንሽ እሳት ሁልጊዜ ይነዳል ሰዎች መጽሐፍ ያነባሉ ቤት ሌሊት ሞቃት አዲስ፡አበባ"""),
    "thai": ("", ["", " ", "ๆ "], "๐๑๒๓๔๕๖๗๘๙", """เปลวไฟ เล็ก ติด อยู่ เสมอ ผู้คน อ่าน หนังสือ บ้าน กลางคืน อบอุ่น น้ำ กรุงเทพฯ สวัสดี
        ที่ ก็"""),
    "khmer": ("", ["។", "", "៕ "], "០១២៣៤៥៦៧៨៩", """ភ្លើង តូច ឆេះ ជានិច្ច មនុស្ស អាន សៀវភៅ ផ្ទះ យប់ ក្តៅ ភ្នំពេញ"""),
    "chinese": ("", "。！？", "0123456789", """小小的 火焰 总是 燃烧 人们 在 晚上 读书 温暖 房子 臺灣 繁體 北京， 《书》 一 二 〇 没有"""),
    "japanese": ("", "。！？", "０１２３４５６７８９", """小さな 炎が いつも 燃えて います 人々は 夜に 本を 読む ガス ｶﾞｽ パイロット ライト ー 東京 、 「家」
        ヴ 々"""),
    "korean": (" ", ".!?", "0123456789", """작은 불꽃이 항상 타고 있다 사람들은 밤에 책을 읽는다 따뜻한 집 서울 한국어 값을 않았다 ㅋㅋㅋ"""),
}

# The characters that are put between words now and then.
BETWEEN = ["\u00a0", "\u3000", "\u2009", "\u200b", "\u200d", "\u202f", "  ", "   ", "\t", "\n", "\r\n", "\u2028", "\ufeff",
           "\u00ad", "\x07", "\x00", "\x85", " \U0001f600 ", "\U0001f469\u200d\U0001f680", " \U0001f1eb\U0001f1ee\U0001f1ef",
           " \u2764\ufe0f ", "\ufffd", "\ue000", "\u0378", " - ", "\u2014", "...", "\u2026", "/", " & ", " (", ") ", "\u0301",
           "\ufb01", "\uff21\uff22\uff23", " \u2460 ", " \u00bd ", " 3.14 ", " #1 ", " @a ", " <mask> ", "[MASK]", "</s>", " [SEP] ",
           "<unk>", "\u2581", " ## ", "_", "\U0001d400\U0001d401", "\u1112\u1161\u11ab"]


def sentence(draw, language):
    blank, ends, digits, words = LANGUAGES[language]
    words = words.split()
    chosen = [draw.choice(words) for _ in range(draw.randint(2, 7))]
    if draw.random() < 0.25:
        chosen.insert(draw.randrange(len(chosen)), "".join(draw.choice(digits) for _ in range(draw.randint(1, 5))))
    if draw.random() < 0.15:
        other = draw.choice(sorted(LANGUAGES))
        chosen.append(draw.choice(LANGUAGES[other][3].split()))
    text = blank.join(chosen)
    if draw.random() < 0.4:
        at = draw.randrange(len(text) + 1)
        text = text[:at] + draw.choice(BETWEEN) + text[at:]
    text += draw.choice(ends)
    form = draw.random()
    if form < 0.15:
        text = unicodedata.normalize("NFD", text)
    elif form < 0.2:
        text = unicodedata.normalize("NFKC", text)
    elif form < 0.3:
        text = text.upper()
    elif form < 0.5:
        text = text[:1].upper() + text[1:]
    return text


def sentences():
    """80 of each language, which differ from each other."""
    draw = random.Random(SEED)
    texts = []
    for language in LANGUAGES:
        own = {}
        while len(own) < PER_LANGUAGE:
            own[sentence(draw, language)] = None
        texts += own
    return texts


ODD = [
    # Nothing, or next to it.
    "", " ", "  ", " \t\r\n\v\f ", "\u00a0\u2003\u3000", "\u200b", "\ufeff", "\u200b\ufeff\u2060", "\0", "\x07\x1b\x7f", "a", "!", "\u2581", "\u2581\u2581a",
    # Blanks before, after and between.
    " a", "a ", "  a  b   c    d     e      ", "a\nb\n\nc\n\n\nd", "a\tb\t\tc", "a\r\nb\r\rc", "a \n b", "a\u00a0b \u00a0 c", "a\u3000b\u3000",
    "a\u2028b\u2029c", "a\u0085b\u1680c\u180ed\u2000e\u2009f\u202fg\u205fh", "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg",
    "a" + " " * 24 + "b" + " " * 25 + "c" + " " * 60 + "d", "\n\n  indented\n    more\n\ttab\n",
    # Control characters, unassigned ones, private use, noncharacters.
    "nul\0in bell\x07in escape\x1bin delete\x7fin \x80\x9f", "file\x1cgroup\x1drecord\x1eunit\x1fend", "a\ufffdb\ufffd\ufffd c",
    "\ufffe \uffff \U0001fffe \U0010ffff", "\ue000\uf8ff \U000f0000 \U00100000", "\u0378\u0379 \u1cff \U0001fbff \U00012fff",
    "\U000e0001\U000e0061\U000e007f tag", "a\u202eb\u202cc \u2066d\u2069 \u200ee\u200f", "\u2061\u2062\u2063\u2064 \u206a\u206f",
    # Emoji.
    "\U0001f600", "\U0001f600\U0001f600\U0001f525", "fire\U0001f525fire", "\U0001f469\u200d\U0001f680 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f44d\U0001f3fd \u2764\ufe0f \u2600 \u2600\ufe0f 1\ufe0f\u20e3 #\ufe0f\u20e3", "\U0001f1eb\U0001f1ee\U0001f1ef\U0001f1f5 \U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    # Accents, composed and not, and marks with nothing below them.
    "caf\u00e9 na\u00efve \u00fcber", "cafe\u0301 nai\u0308ve u\u0308ber", "CAF\u00c9 CAFE\u0301 \u00c5ngstr\u00f6m A\u030angstro\u0308m \u212bngstrom",
    "Vi\u1ec7t, Vie\u0323\u0302t, Vi\u00ea\u0323t, Vie\u0302\u0323t", "\u0301a", " \u0301", "\u0301\u0302\u0303", "a \u0301 b", "a\u0301\u0302\u0303\u0304 x\u0336y\u0336",
    "z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034da\u036b", "\u1ea1\u0301 \u0122 \u0137 \u1e9b\u0323",
    # Compatibility forms.
    "\ufb01re \ufb02ame \ufb03 \u210c \u2460 \u00bd x\u00b2 \uff46\uff49\uff52\uff45 \u0132", "\uff21\uff22\uff23\uff01\uff0c\uff11\uff12\uff13 \uffe5 \uff5e",
    "\U0001d4d5\U0001d4d8\U0001d4e1\U0001d4d4 \U0001f10d \U0001f130 \u33a1 \u3392 \u2122 \u2120", "\u2474 \u2488 \u3220 \u32c0 \u3358 \u3300", "\ufdfa \ufdfb \ufefb \ufe8d \ufb4f \ufb1d",
    "\u2f00\u2f8f \uf900\uf901 \u2ff0", "\u00aa\u00ba \u00b5 \u2126 \u212a \u017f \u1e9e",
    # Letters whose lower case is special.
    "\u0130stanbul I\u0307stanbul \u0131\u015f\u0131k I\u015eIK", "Stra\u00dfe STRASSE STRA\u1e9eE", "\u039f\u0394\u039f\u03a3 \u03a3\u03a3 \u03a3 \u03a3. a\u03a3 \u1f88 \u1ff3 \u1fbc",
    "\u01c4 \u01c5 \u01c6 \u2167 \u24b6 \u0149 \u01f0", "\u1c90\u1c92 \u10d0 \u13a0 \uab70 \U00010400\U00010428 \U00016e40",
    # Scripts.
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "\u4e2d\u6587\uff0c\u6ca1\u6709\u7a7a\u683c\u3002", "\u4e2dA\u6587b1\u6587", "\U00020000\U0002a6d6\U0002b740 \u3400\u4dbf \u9fff \U00030000",
    "\u30ab\u3099\u30cf\u309a \uff76\uff9e\uff8a\uff9f \u309b\u309c \u30f7", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u116e\u11a8 \u3131\u314f \uffa1", "\uac00\u11a8 \u1100\uac00 \u1161 \u11a8",
    "\u0634\u0639\u0644\u0629 \u0661\u0662\u0663 \u0643\u0650\u062a\u064e\u0627\u0628 \u0640\u0640", "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \ufb2a \u05f3 \u05be",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0967\u0968\u0969 \u0915\u093c \u0958 \u0929", "\u0995\u09cb \u0995\u09c7\u09be \u09dc \u09a1\u09bc", "\u0b95\u0bca \u0b95\u0bc6\u0bbe",
    "\u0e19\u0e49\u0e33 \u0e19\u0e4d\u0e49\u0e32 \u0e33", "\u1780\u17d2\u1781 \u17d4", "\u0f40\u0fb5 \u0f43 \u0f73", "\u1ba1\u1b85 \u1b06 \u1031\u1000", "\u10a0 \u2d00 \u0531 \u0587",
    "\u041f\u0418\u041b\u041e\u0422 \u0419 \u0418\u0306 \u0401 \u0415\u0308", "\u1200\u1361\u1362 \u2d31 \u07ca \ua984",
    # Numbers and apostrophes.
    "3.14159 1,234,567 2nd 10x10 B2B h2o 007", "\u0663\u0664 \u2155 \u2163 \u3007 \u00b9\u2070", "0123456789" * 9, "it's I'm you're we've he'll she'd don't o'clock 'tis",
    "IT'S I'M YOU'RE WE'VE HE'LL SHE'D", "it\u2019s I\u2019m \u2018quoted\u2019", "'s's 'S ''s 'sa 'llama 'd'd'd 'll 've'", " 's 're 't\n's",
    # Punctuation, markup, code.
    "?!?!... --- ... \u2026 !!!!!!!!!! (((()))) <<>> ;;;", "a-b_c/d\\e|f~g`h^i*j+k=l@m#n$o%p&q", "\u201cquoted\u201d \u00abquoted\u00bb \u2013 \u2014 \u2022 \u00b6 \u00a7 \u00a9 \u20ac5 \u221e",
    "wow!!!so...much,punctuation;here:and(there)", "<b>bold</b><br/> &amp; &#39;", "https://example.org/a_b?c=d&e=%20#f user@example.org",
    "fn main() {\n    let x = [1, 2.5e-3];\n}", "##s s## # # ##", "``a'' ^^ \u00b4 \u02bc \u037e \u0387 \u2219",
    # Special tokens in the text.
    "[MASK]", "a [MASK] b[MASK]c [CLS][SEP] [PAD] [UNK]", "[mask] [Mask] [cls] [ MASK ]", "<s>", "<s> a </s> b<mask>c <mask>  d  <mask> <pad> <unk>",
    "<S> <MASK> <Mask> <mask", "</s></s><s>a<mask><mask>", "<s>NOTUSED </s>NOTUSED <unk>NOTUSED", "|||IP_ADDRESS||| <|endoftext|> <|padding|> |||ip_address|||", "[unused0] [unused1]",
    # Long ones.
    "q" * 99, "q" * 100, "q" * 101, "\u00e9" * 101, "e\u0301" * 60, "\u4e2d" * 101, "zxqj" * 60 + " end", "pneumonoultramicroscopicsilicovolcanoconiosis" * 3, "\U0001f525 " * 40,
    "the pilot light is small " * 20, "a," * 90, "." * 120, "\u0301" * 50, "ab\u0301c" * 40, " a" * 70,
]
