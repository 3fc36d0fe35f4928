"""German inflection of articles, adjectives, nouns and verbs, and German numbers.

Cases are ``nom``, ``acc``, ``dat``, ``gen``; genders are m, f, n, and p for all plurals.
"""

from __future__ import annotations

from generators.translation.words import Noun, Verb

CASES = ("nom", "acc", "dat", "gen")
STRONG = {"m": "er en em es", "f": "e e er er", "n": "es es em es", "p": "e e en er"}
AFTER_EIN = {"m": "- en em es", "f": "e e er er", "n": "- - em es", "p": "e e en er"}
AFTER_THE = {"m": "e en en en", "f": "e e en en", "n": "e e en en", "p": "en en en en"}
AFTER_A = {"m": "er en en en", "f": "e e en en", "n": "es es en en", "p": "en en en en"}
THE = {
    "m": "der den dem des",
    "f": "die die der der",
    "n": "das das dem des",
    "p": "die die den der",
}
RELATIVE = {**THE, "p": "die die denen deren"}
CONTRACTIONS = {"in dem": "im", "in das": "ins", "von dem": "vom"}
UNITS = ("", "ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
TEENS = (
    "zehn", "elf", "zwölf", "dreizehn", "vierzehn", "fünfzehn", "sechzehn", "siebzehn", "achtzehn",
    "neunzehn",
)  # fmt: skip
TENS = (
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
)  # fmt: skip


def ending(table: dict[str, str], gender: str, case: str) -> str:
    """Look up the ending (or article) for a gender and case."""
    return table[gender].split()[CASES.index(case)].replace("-", "")


def determiner(word: str, gender: str, case: str) -> str:
    """Inflect ``der``, ``dies-``, ``jed-`` or an ein-word (ein, kein, mein, …); ``""`` is none."""
    if word == "der":
        return ending(THE, gender, case)
    if word in ("dies", "jed"):
        return word + ending(STRONG, gender, case)
    return word + ending(AFTER_EIN, gender, case) if word else ""


def adjective(stem: str, word: str, gender: str, case: str) -> str:
    """Inflect an attributive adjective that follows the determiner ``word``."""
    if word in ("der", "dies", "jed"):
        return stem + ending(AFTER_THE, gender, case)
    return stem + ending(AFTER_A if word else STRONG, gender, case)


def inflect_noun(noun: Noun, plural: bool, case: str) -> str:
    """Inflect a noun: dative plural with -n, genitive with -s or -es, weak nouns."""
    if plural:
        extra = "n" if case == "dat" and noun.german_plural[-1] not in "ns" else ""
        return noun.german_plural + extra
    if noun.weak and case != "nom":
        return noun.german_plural
    if case == "gen" and noun.gender != "f":
        syllables = sum(
            letter in "aeiouäöü" and before not in "aeiouäöü"
            for before, letter in zip(" " + noun.german.lower(), noun.german.lower(), strict=False)
        )
        return noun.german + ("es" if syllables == 1 else "s")
    return noun.german


def prepositional_phrase(preposition: str, phrase: str) -> str:
    """``in`` and ``dem Garten`` give ``im Garten``."""
    article, _, rest = phrase.partition(" ")
    both = f"{preposition} {article}"
    return f"{CONTRACTIONS.get(both, both)} {rest}".rstrip()


def german_number(value: int) -> str:
    """1 to 999 in German words, with the unit before the ten (``fünfundzwanzig``)."""
    hundreds, rest = divmod(value, 100)
    head = f"{UNITS[hundreds] if hundreds > 1 else ''}hundert" if hundreds else ""
    if rest < 10:
        return head + ("eins" if rest == 1 else UNITS[rest])
    if rest < 20:
        return head + TEENS[rest - 10]
    tens, unit = divmod(rest, 10)
    return head + (f"{UNITS[unit]}und" if unit else "") + TENS[tens]


def present_form(verb: Verb, person: str) -> str:
    """The present tense without the separable prefix, for ``ich``, ``er`` or ``wir`` (Sie, sie)."""
    first = verb.infinitive[:-1] + ("e" if verb.infinitive.endswith("ern") else "")
    return {"ich": first, "er": verb.third, "wir": verb.infinitive}[person]


def infinitive_with_zu(verb: Verb) -> str:
    """``zu kaufen``, ``abzuholen``."""
    return f"{verb.prefix}zu{verb.infinitive}" if verb.prefix else f"zu {verb.infinitive}"
