"""The bilingual vocabulary of the translation corpus; ``german.py`` inflects the German words.

Every English word has one German translation, so ``teacher`` is always ``die Lehrerin``. Where a
word has several, another word of the sentence decides (``put`` is ``stellen``, ``legen`` or
``hängen``).
"""

from __future__ import annotations

from dataclasses import dataclass

ARTICLES = {"der": "m", "die": "f", "das": "n"}


@dataclass(frozen=True)
class Noun:
    """A noun. ``gender`` is m, f or n; a weak noun has its plural form in all other cases."""

    english: str
    english_plural: str
    german: str
    german_plural: str
    gender: str
    weak: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb: English base, past, participle; German prefix, infinitive, er-form, participle."""

    english: str
    english_past: str
    english_participle: str
    prefix: str
    infinitive: str
    third: str
    participle: str
    auxiliary: str = "haben"


def parse_pairs(table: str) -> list[tuple[str, str]]:
    """Parse lines ``english = german`` into pairs."""
    pairs = [line.split("=") for line in table.strip().splitlines()]
    return [(english.strip(), german.strip()) for english, german in pairs]


def parse_noun(english: str, german: str) -> Noun:
    """Parse ``boy, boys`` and ``der Junge, Jungen, weak``; regular English plurals are optional."""
    singular, *plural = [form.strip() for form in english.split(",")]
    first, german_plural, *weak = [form.strip() for form in german.split(",")]
    article, word = first.split()
    return Noun(
        singular, plural[0] if plural else singular + "s", word, german_plural, ARTICLES[article],
        bool(weak),
    )  # fmt: skip


def parse_nouns(table: str) -> list[Noun]:
    """Parse one noun per line."""
    return [parse_noun(english, german) for english, german in parse_pairs(table)]


def regular_past(english: str) -> str:
    """The regular past of an English verb."""
    if english.endswith("e"):
        return english + "d"
    if english.endswith("y") and english[-2] not in "aeiou":
        return english[:-1] + "ied"
    return english + "ed"


def parse_verb(english: str, german: str) -> Verb:
    """Parse ``pick up`` or ``give, gave, given``, and ``ab|holen, holt, geholt``.

    A fourth German item ``sein`` is the auxiliary of the perfect.
    """
    base, *irregular = [form.strip() for form in english.split(",")]
    head, _, particle = base.partition(" ")
    forms = irregular or [regular_past(head), regular_past(head)]
    if particle:
        forms = [f"{form} {particle}" for form in forms]
    infinitive, third, participle, *auxiliary = [form.strip() for form in german.split(",")]
    prefix, _, stem = infinitive.rpartition("|")
    return Verb(base, forms[0], forms[1], prefix, stem, third, participle, *auxiliary)


PERSONS = parse_nouns(
    """
teacher = die Lehrerin, Lehrerinnen
child, children = das Kind, Kinder
doctor = der Arzt, Ärzte
boy = der Junge, Jungen, weak
woman, women = die Frau, Frauen
neighbour = die Nachbarin, Nachbarinnen
girl = das Mädchen, Mädchen
man, men = der Mann, Männer
baker = der Bäcker, Bäcker
student = der Student, Studenten, weak
grandmother = die Großmutter, Großmütter
farmer = der Bauer, Bauern, weak
gardener = der Gärtner, Gärtner
painter = die Malerin, Malerinnen
friend = der Freund, Freunde
colleague = der Kollege, Kollegen, weak
lawyer = die Anwältin, Anwältinnen
grandfather = der Großvater, Großväter
singer = die Sängerin, Sängerinnen
policeman, policemen = der Polizist, Polizisten, weak
sister = die Schwester, Schwestern
brother = der Bruder, Brüder
uncle = der Onkel, Onkel
aunt = die Tante, Tanten
cook = der Koch, Köche
daughter = die Tochter, Töchter
son = der Sohn, Söhne
tourist = der Tourist, Touristen, weak
nurse = die Krankenschwester, Krankenschwestern
waiter = der Kellner, Kellner
engineer = die Ingenieurin, Ingenieurinnen
guest = der Gast, Gäste
postman, postmen = der Briefträger, Briefträger
customer = die Kundin, Kundinnen
mayor = der Bürgermeister, Bürgermeister
musician = der Musiker, Musiker
pilot = der Pilot, Piloten, weak
librarian = die Bibliothekarin, Bibliothekarinnen
carpenter = der Tischler, Tischler
captain = der Kapitän, Kapitäne
"""
)
WOMEN = ("Anna", "Maria", "Julia", "Emma", "Clara", "Sophie", "Nina", "Helena")
MEN = ("Peter", "Martin", "Paul", "Oliver", "Simon", "Leon", "David", "Erik")

WRITINGS = parse_nouns(
    """
letter = der Brief, Briefe
postcard = die Postkarte, Postkarten
poem = das Gedicht, Gedichte
report = der Bericht, Berichte
novel = der Roman, Romane
recipe = das Rezept, Rezepte
"""
)
READINGS = [*WRITINGS, *parse_nouns("book = das Buch, Bücher\nnewspaper = die Zeitung, Zeitungen")]
FRUITS = parse_nouns(
    """
apple = der Apfel, Äpfel
pear = die Birne, Birnen
egg = das Ei, Eier
tomato, tomatoes = die Tomate, Tomaten
lemon = die Zitrone, Zitronen
potato, potatoes = die Kartoffel, Kartoffeln
sausage = die Wurst, Würste
cucumber = die Gurke, Gurken
pancake = der Pfannkuchen, Pfannkuchen
"""
)
STANDING = parse_nouns(
    """
vase = die Vase, Vasen
bottle = die Flasche, Flaschen
lamp = die Lampe, Lampen
basket = der Korb, Körbe
chair = der Stuhl, Stühle
suitcase = der Koffer, Koffer
cup = die Tasse, Tassen
box, boxes = die Kiste, Kisten
"""
)
LYING = parse_nouns(
    """
book = das Buch, Bücher
key = der Schlüssel, Schlüssel
newspaper = die Zeitung, Zeitungen
knife, knives = das Messer, Messer
towel = das Handtuch, Handtücher
pillow = das Kissen, Kissen
blanket = die Decke, Decken
letter = der Brief, Briefe
"""
)
HANGING = parse_nouns(
    """
picture = das Bild, Bilder
mirror = der Spiegel, Spiegel
clock = die Uhr, Uhren
"""
)
CLOTHES = parse_nouns(
    """
coat = der Mantel, Mäntel
dress, dresses = das Kleid, Kleider
jacket = die Jacke, Jacken
shirt = das Hemd, Hemden
"""
)
HATS = parse_nouns("hat = der Hut, Hüte")
DEVICES = parse_nouns(
    """
radio = das Radio, Radios
computer = der Computer, Computer
oven = der Ofen, Öfen
lamp = die Lampe, Lampen
"""
)
OPENINGS = parse_nouns(
    """
door = die Tür, Türen
window = das Fenster, Fenster
suitcase = der Koffer, Koffer
bag = die Tasche, Taschen
bottle = die Flasche, Flaschen
"""
)
ROOMS = parse_nouns(
    """
kitchen = die Küche, Küchen
living room = das Wohnzimmer, Wohnzimmer
cellar = der Keller, Keller
office = das Büro, Büros
"""
)
GOODS = parse_nouns(
    """
bicycle = das Fahrrad, Fahrräder
car = das Auto, Autos
camera = die Kamera, Kameras
guitar = die Gitarre, Gitarren
umbrella = der Regenschirm, Regenschirme
bag = die Tasche, Taschen
ball = der Ball, Bälle
ring = der Ring, Ringe
boat = das Boot, Boote
phone = das Telefon, Telefone
"""
)
ANIMALS = parse_nouns(
    """
dog = der Hund, Hunde
cat = die Katze, Katzen
horse = das Pferd, Pferde
bird = der Vogel, Vögel
"""
)


def make_compounds(modifiers: str, heads: str) -> list[Noun]:
    """Combine every modifier with every head; German gender and plural are those of the head."""
    return [
        Noun(
            f"{first} {head.english}", f"{first} {head.english_plural}",
            german + head.german.lower(), german + head.german_plural.lower(), head.gender,
        )
        for head in parse_nouns(heads)
        for first, german in parse_pairs(modifiers)
    ]  # fmt: skip


CAKES = make_compounds(
    "apple = Apfel\nchocolate = Schokoladen\ncherry = Kirsch\nlemon = Zitronen\nplum = Pflaumen\n"
    "cheese = Käse",
    "cake = der Kuchen, Kuchen\ntart = die Torte, Torten",
)
SOUPS = make_compounds(
    "tomato = Tomaten\npotato = Kartoffel\nonion = Zwiebel\nfish = Fisch\nvegetable = Gemüse",
    "soup = die Suppe, Suppen\nsalad = der Salat, Salate",
)
FURNITURE = make_compounds(
    "kitchen = Küchen\ngarden = Garten\noffice = Büro\nwooden = Holz\nchildren's = Kinder",
    "table = der Tisch, Tische\nchair = der Stuhl, Stühle\nbench, benches = die Bank, Bänke\n"
    "lamp = die Lampe, Lampen\ncupboard = der Schrank, Schränke",
)
WARDROBE = make_compounds(
    "winter = Winter\nsummer = Sommer\nleather = Leder\nrain = Regen",
    "coat = der Mantel, Mäntel\njacket = die Jacke, Jacken\nboot = der Stiefel, Stiefel",
)
