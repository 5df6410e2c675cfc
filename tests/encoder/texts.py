"""Texts of every kind that people store and ask, for comparing encoders."""

from __future__ import annotations

SUBJECTS = [
    "France",
    "the Eiffel Tower",
    "Teodora Kowalska",
    "HD 180902",
    "Lake Baikal",
    "the ribosome",
    "Vega-7",
    "Ångström",
]

FACTS = [f"The capital of {subject} is Lyon." for subject in SUBJECTS] + [
    f"{subject} was renamed in 2031 after {other}, according to the registry of names and places."
    for subject, other in zip(SUBJECTS, reversed(SUBJECTS), strict=True)
]

QUESTIONS = [f"What is the capital of {subject}?" for subject in SUBJECTS] + [
    f"who renamed {subject.upper()} and when did it happen" for subject in SUBJECTS
]

SHORT = ["", " ", "\n\t", "a", "?", "!!!", "42", "3.14159", "-", "no", "Is it?", "I", "...", "'", '"quoted"']

LONG = [f"{subject} is mentioned here, again and again, and so on and so forth. " * 60 for subject in SUBJECTS[:6]] + [
    "word " * 253,  # one token less than the model reads, exactly as many, and one more
    "word " * 254,
    "word " * 255,
    "antidisestablishmentarianism" * 40,
    "x" * 5_000,
    "\n".join(f"{number}. line of a list with the number {number}" for number in range(80)),
]

MULTILINGUAL = [
    "La capitale de la France est Lyon.",
    "Die Hauptstadt Frankreichs ist Lyon; Größe und Äquator, Straße.",
    "Столица Франции — Лион.",
    "法国的首都是里昂。",
    "フランスの首都はリヨンです。",
    "프랑스의 수도는 리옹이다.",
    "عاصمة فرنسا هي ليون.",
    "בירת צרפת היא ליון.",
    "फ्रांस की राजधानी ल्यों है।",
    "เมืองหลวงของฝรั่งเศสคือลียง",
    "Η πρωτεύουσα της Γαλλίας είναι η Λυών.",
    "Thủ đô của Pháp là Lyon.",
    "ÉCOLE, école, e\u0301cole",
    "ﬁnd the ﬂag",
    "İstanbul ve ığdır",
]

ODD = [
    "😀",
    "👩‍👩‍👧‍👦 a family, 🇫🇷 a flag, 👍🏽 a thumb",
    "The capital is 🗼 Lyon 🎉!!!",
    "<b>html</b> &amp; entities",
    "SELECT * FROM facts WHERE id = 1; -- comment",
    "def f(x):\n    return x ** 2\n",
    "https://example.org/path?query=1&other=two#fragment",
    "name@example.org",
    "[CLS] special [SEP] tokens [MASK] in text [PAD] [UNK]",
    "zero\u200bwidth and soft\u00adhyphen",
    "tabs\tand\r\nline ends",
    "NUL-like \u0001 control",
    "ALL CAPS SHOUTING",
    "MiXeD cAsE",
    "1,234,567.89 € ≈ $1.3M ± 5 %",
    "E = mc², ∑ᵢ xᵢ → ∞, ½ + ⅓",
    "a-b_c/d\\e|f",
    "''nested 'quotes' \"and\" “these” «and these»''",
    "𝕬𝖓𝖈𝖎𝖊𝖓𝖙 𝓼𝓬𝓻𝓲𝓹𝓽𝓼",
    "repeat repeat repeat repeat repeat",
]

NEAR_MISSES = [
    f"The {relation} of {subject} is not {value}."
    for relation, value in (("capital", "Paris"), ("mayor", "Lucie Arnaud"), ("height", "330 metres"))
    for subject in SUBJECTS[:5]
]

TEXTS = FACTS + QUESTIONS + SHORT + LONG + MULTILINGUAL + ODD + NEAR_MISSES
