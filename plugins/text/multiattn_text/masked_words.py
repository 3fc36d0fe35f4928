"""Multi30k whose English lacks what can be seen, so that a model must look at the photograph.

After Caglayan et al. 2019, Probing the need for visual context in multimodal machine translation,
section 3: entities and colours give way to one sign, so that only the photograph tells them. They
mask the annotated heads of entities; this masks the words of one list, below, and counts its German
words in what was written. It knows splits and words, and refuses to know pictures. No torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from multiattn.errors import UserError
from multiattn.records import Example
from multiattn.textfiles import OnBadRow
from multiattn_text.corpora import Multi30k

MASK = "___"
VERSION = "1"  # of the list: scores of different versions are not comparable

# A thing per line: the English words that are masked, then the German words that translate them, as
# they stand in the lowercased and tokenised corpus. The most frequent concrete nouns and colours of
# the training side; German from what occurs together there, then read through. ``~`` stands for the
# endings of an adjective. Not every English word has its German ones counted: lowercased, `junge`
# (boy) is also "young", `paar` (couple) also "few", and `kleidung` (clothes) often "dressed".
WORDS = """
man men guy guys gentleman male males = mann mannes männer männern herr herrn herren typ typen kerl kerle
woman women lady ladies female females = frau frauen dame damen
girl girls = mädchen mädchens
boy boys =
child children kid kids = kind kindes kinder kindern kids
baby babies toddler toddlers = baby babys kleinkind kleinkinder kleinkindern
person people = person personen mensch menschen leute leuten
adult adults = erwachsener erwachsene erwachsenen
couple couples = pärchen
family families = familie familien
mother = mutter
crowd = menschenmenge menge
player players = spieler spielers spielern spielerin spielerinnen fußballspieler fußballspielern baseballspieler basketballspieler footballspieler footballspielern football-spieler tennisspieler tennisspielerin hockeyspieler hockeyspielern eishockeyspieler volleyballspieler volleyballspielerin rugbyspieler
worker workers = arbeiter arbeitern bauarbeiter bauarbeitern
team teams = team teams mannschaft mannschaften
band = band musikgruppe
police = polizei polizist polizisten
student students = student studenten schüler schülern
rider riders = reiter reitern
surfer surfers = surfer surfern
skateboarder skateboarders = skateboarder skateboardfahrer skater
snowboarder snowboarders = snowboarder snowboardfahrer
dog dogs puppy puppies = hund hundes hunde hunden welpe welpen
horse horses = pferd pferdes pferde pferden
bird birds = vogel vögel vögeln
cat cats = katze katzen
cow cows = kuh kühe kühen
fish = fisch fische
shirt shirts t-shirt t-shirts = hemd hemden oberteil oberteile oberteilen shirt shirts bluse blusen t-shirt t-shirts
hat hats cap caps = hut hüte hüten mütze mützen kappe kappen kopfbedeckung kopfbedeckungen baseballmütze baseballkappe baseballkappen strickmütze wollmütze
helmet helmets = helm helme helmen schutzhelm schutzhelme schutzhelmen
jacket jackets = jacke jacken
coat coats = mantel mäntel mänteln kittel kitteln
dress dresses = kleid kleider kleidern
pants trousers shorts = hose hosen shorts
jeans = jeans bluejeans
glasses = brille brillen
sunglasses = sonnenbrille sonnenbrillen
goggles = schutzbrille schutzbrillen schwimmbrille schwimmbrillen skibrille
suit suits = anzug anzüge anzügen
uniform uniforms jersey jerseys = uniform uniformen trikot trikots
vest vests = weste westen warnweste warnwesten
sweater sweaters sweatshirt sweatshirts = pullover pullovern sweatshirt sweatshirts
shoe shoes = schuh schuhe schuhen
boot boots = stiefel stiefeln
glove gloves = handschuh handschuhe handschuhen
skirt skirts = rock röcke röcken
scarf scarves = schal schals
apron aprons = schürze schürzen
costume costumes = kostüm kostüme kostümen
clothes clothing outfit outfits = outfit outfits
backpack backpacks = rucksack rucksäcke rucksäcken
bag bags = tasche taschen tüte tüten beutel
umbrella umbrellas = schirm schirme schirmen regenschirm regenschirme regenschirmen sonnenschirm
ball balls = ball bälle bällen
frisbee frisbees = frisbee frisbees frisbeescheibe frisbee-scheibe
stick sticks = stock stöcke stöcken
toy toys = spielzeug spielzeuge spielzeugen spielsachen
rope ropes = seil seile seilen
soccer = fußball
football = football
baseball = baseball
basketball = basketball
tennis = tennis tennisball tennisbälle
volleyball = volleyball beachvolleyball
hockey = hockey eishockey feldhockey
bike bikes bicycle bicycles = fahrrad fahrrads fahrräder fahrrädern rad räder rädern bike
motorcycle motorcycles = motorrad motorrads motorräder motorrädern
skateboard skateboards = skateboard skateboards
car cars = auto autos
truck trucks = lkw lkws lastwagen laster
bus buses = bus busse bussen
train trains = zug züge zügen
boat boats = boot boote booten
cart carts = wagen karren einkaufswagen
guitar guitars = gitarre gitarren
drum drums = schlagzeug trommel trommeln
instrument instruments = instrument instrumente instrumenten
microphone microphones = mikrofon mikrofone mikrofonen mikrophon
camera cameras = kamera kameras
computer computers = computer computern
phone phones cellphone cellphones = telefon telefone handy handys mobiltelefon
book books = buch bücher büchern
newspaper newspapers = zeitung zeitungen
sign signs = schild schilder schildern
flag flags = flagge flaggen fahne fahnen
bottle bottles = flasche flaschen wasserflasche
flower flowers = blume blumen
table tables = tisch tische tischen
chair chairs = stuhl stühle stühlen
bench benches = bank bänke bänken parkbank
bed beds = bett betten
couch couches = sofa couch
ladder ladders = leiter leitern
tent tents = zelt zelte zelten
fence fences = zaun zauns
street streets road roads = straße straßen
sidewalk sidewalks = gehweg gehwegs gehwege bürgersteig gehsteig
city = stadt
building buildings = gebäude gebäudes gebäuden
house houses = haus hauses häuser häusern
store stores shop shops = geschäft geschäfts geschäfte laden ladens läden
restaurant restaurants = restaurant restaurants
market = markt
kitchen = küche
room = raum raums zimmer zimmers
wall walls = wand wände wänden mauer mauern
window windows = fenster fensters fenstern schaufenster
stairs steps = treppe treppen stufe stufen treppenstufen
floor ground = boden fußboden
stage = bühne bühnen
bridge bridges = brücke
fountain fountains = brunnen brunnens springbrunnen fontäne
park parks = park parks
playground = spielplatz
beach = strand strandes
water = wasser wassers
ocean sea = meer meeres ozean ozeans
river = fluss flusses
lake lakes = see sees
pool = schwimmbecken pool schwimmbad becken swimmingpool
sand = sand
snow = schnee
ice = eis
grass = gras rasen wiese
field fields = feld feldes felder feldern spielfeld
tree trees = baum baums baumes bäume bäumen
forest woods = wald waldes
mountain mountains = berg berges berge bergen
hill hills = hügel hügels hügeln
rock rocks = felsen fels stein steine steinen felswand
sky = himmel
black = schwarz~
white = weiß~
red = rot~
blue = blau~
green = grün~
yellow = gelb~
brown = braun~
tan = hellbraun~ gelbbraun~ beige beigen
gray = grau~
orange = orange orangen oranger oranges orangem orangefarben~
pink = rosa rosafarben~ pink pinkfarben~
purple = lila lilafarben~ violett~
blond = blond~
"""  # noqa: E501
ENDINGS = ("", "e", "en", "er", "es", "em")


@dataclass(frozen=True)
class Words:
    """The list, read: which English words are masked, and the thing that a German word names.

    german: the number of the line by the word's form, so that number, case, gender and synonyms do
        not count as differences.
    """

    english: frozenset[str]
    german: Mapping[str, int]

    @classmethod
    def read(cls, text: str) -> Words:
        """From lines ``english … = german …``; a German word belongs to one line."""
        english: set[str] = set()
        german: dict[str, int] = {}
        for thing, line in enumerate(text.strip().splitlines()):
            masked, counted = line.split("=")
            english.update(masked.split())
            for word in counted.split():
                stem = word.removesuffix("~")
                for form in [stem + ending for ending in ENDINGS] if stem != word else [word]:
                    if german.setdefault(form, thing) != thing:
                        raise ValueError(f"{form} stands in two lines")
        return cls(frozenset(english), german)

    def masked(self, sentence: str) -> str:
        """A tokenised sentence with the mask for every listed word, hyphenated ones as a whole."""
        return " ".join(MASK if self._seen(token) else token for token in sentence.split())

    def _seen(self, token: str) -> bool:
        return token in self.english or not self.english.isdisjoint(token.split("-"))

    def things(self, text: str) -> Counter[int]:
        """How often a German text names each thing."""
        tokens = text.lower().split()
        return Counter(self.german[token] for token in tokens if token in self.german)


LISTED = Words.read(WORDS)


class MaskedMulti30k:
    """Multi30k, tokenised, with a field ``masked``: the English without what can be seen.

    Other fields are Multi30k's: ``en``, ``de``, ``image``. Besides its splits there are three to
    compare, all of the lines of val and test_2016_flickr that have a photograph, by the same ids:

    - ``pictured``: as they are;
    - ``pictured-blind``: without the photograph;
    - ``pictured-shuffled``: each with the photograph of another line.

    And ``train-pictured``, ``val-pictured``, ``test_2016_flickr-pictured``: such lines of a split.
    photographs: where the pictures lie, from the corpus folder.
    """

    compared = ("pictured", "pictured-blind", "pictured-shuffled")
    joined = ("val", "test_2016_flickr")
    ending = "-pictured"

    def __init__(self, folder: Path, *, photographs: str = "../flickr8k") -> None:
        self._whole = Multi30k(folder, variant="tok", photographs=photographs)

    def splits(self) -> tuple[str, ...]:
        """Those of Multi30k, then those of their pictured lines."""
        whole = self._whole.splits()
        compared = self.compared if set(self.joined) <= set(whole) else ()
        return (*whole, *(f"{split}{self.ending}" for split in whole), *compared)

    def examples(self, split: str, on_bad_row: OnBadRow | None = None) -> Sequence[Example]:
        """Read a split. Raises UserError as Multi30k, and where no photographs can be exchanged."""
        if split not in self.compared:
            whole = split.removesuffix(self.ending)
            examples = self._masked(whole, on_bad_row)
            return examples if whole == split else _pictured(examples)
        lines = [line for name in self.joined for line in self._masked(name, on_bad_row)]
        pictured = _pictured(lines)
        if split == "pictured-blind":
            return [_with_image(example, None) for example in pictured]
        if split == "pictured-shuffled":
            return shuffled(pictured)
        return pictured

    def _masked(self, split: str, on_bad_row: OnBadRow | None) -> list[Example]:
        return [
            replace(row, fields={**row.fields, "masked": LISTED.masked(str(row.fields["en"]))})
            for row in self._whole.examples(split, on_bad_row)
        ]


def _pictured(examples: Sequence[Example]) -> list[Example]:
    return [example for example in examples if example.fields["image"]]


def _with_image(example: Example, image: str | tuple[str, ...] | None) -> Example:
    return replace(example, fields={**example.fields, "image": image})


def shuffled(examples: Sequence[Example]) -> list[Example]:
    """Each example with the ``image`` of the one half the list further on, the ends joined.

    Further still if that would leave any example its own file. Raises UserError if all ways do.
    """
    images = [example.fields["image"] for example in examples]
    half = len(images) // 2
    for shift in range(half, half + len(images)):
        others = [images[(place + shift) % len(images)] for place in range(len(images))]
        if all(own != other for own, other in zip(images, others, strict=True)):
            return [_with_image(row, other) for row, other in zip(examples, others, strict=True)]
    raise UserError(
        "expected photographs that differ, to give each line another's, "
        f"got {len(set(images))} for {len(images)} lines; complete the corpus's SPLIT.image files"
    )


class MaskedRecall:
    """Of the German words for what was masked, how many were written again: recall, 0-1.

    Counted are the tokens of a reference that are in the list, whatever its English says; each is
    found if the output has a word for the same thing left, in any form or synonym of its line in
    the list. Texts are compared lowercased, cut at spaces: give tokenised ones. Of several
    references the one with the highest recall counts.
    """

    def statistics(
        self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]
    ) -> NDArray[np.float64]:
        """Found and counted words of every example: (n, 2)."""
        pairs = zip(hypotheses, references, strict=True)
        return np.array([_best(text, several) for text, several in pairs], dtype=np.float64)

    def aggregate(self, sums: NDArray[np.float64], count: int) -> Mapping[str, float]:
        """Found words over counted ones; 0 where nothing was to be found."""
        found, counted = sums.tolist()
        return {"masked-recall": found / counted if counted else 0.0}

    def signature(self) -> str:
        """Which list, and what counts as the same."""
        return f"words:multi30k-{VERSION}|match:thing|case:lc|tok:none|refs:best"


def _best(hypothesis: str, references: Sequence[str]) -> tuple[int, int]:
    written = LISTED.things(hypothesis)
    rows = []
    for reference in references:
        wanted = LISTED.things(reference)
        rows.append(((wanted & written).total(), wanted.total()))
    return max(rows, key=lambda row: (row[0] / row[1] if row[1] else 0.0, row[1]))
