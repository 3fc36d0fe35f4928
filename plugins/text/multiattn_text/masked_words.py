"""The words that the corpus ``multi30k-masked`` masks, and the German words that translate them.

After Caglayan et al. 2019, Probing the need for visual context in multimodal machine translation,
section 3. They mask colours and the annotated head nouns of entities; here, a word list decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

MASK = "___"
WORD_LIST_VERSION = "1"  # scores under different versions of the list are not comparable

# One concept per line: the English words to mask = the German words that translate them, all as
# they appear in the lowercased, tokenised corpus. These are the most frequent concrete nouns and
# the colours of the training split; the German words were found by co-occurrence and then
# reviewed. ``~`` stands for the endings of an adjective. Some German translations are left out
# because they are ambiguous once lowercased: `junge` (boy) is also "young", `paar` (couple) also
# "a few", and `kleidung` (clothes) often translates "dressed".
WORD_LIST = """
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
ADJECTIVE_ENDINGS = ("", "e", "en", "er", "es", "em")


@dataclass(frozen=True)
class MaskedWords:
    """A parsed word list.

    english: the words to mask.
    german_concepts: the concept (line of the list) of each German word form. Forms of one concept
        are equivalent, so that number, case, gender and synonyms make no difference.
    """

    english: frozenset[str]
    german_concepts: Mapping[str, int]

    @classmethod
    def parse(cls, word_list: str) -> MaskedWords:
        """Parse lines ``english … = german …``.

        Raises ValueError for a German word form that is on more than one line.
        """
        english: set[str] = set()
        german_concepts: dict[str, int] = {}
        for concept, line in enumerate(word_list.strip().splitlines()):
            english_side, german_side = line.split("=")
            english.update(english_side.split())
            for form in _german_forms(german_side):
                if german_concepts.setdefault(form, concept) != concept:
                    raise ValueError(f"{form} is on two lines")
        return cls(frozenset(english), german_concepts)

    def mask(self, sentence: str) -> str:
        """Replace each listed word of a tokenised English sentence by the mask.

        A hyphenated token is masked as a whole if any of its parts is listed.
        """
        return " ".join(MASK if self._is_listed(token) else token for token in sentence.split())

    def _is_listed(self, token: str) -> bool:
        return token in self.english or not self.english.isdisjoint(token.split("-"))

    def count_concepts(self, text: str) -> Counter[int]:
        """Count how often a German text names each concept."""
        tokens = text.lower().split()
        concepts = self.german_concepts
        return Counter(concepts[token] for token in tokens if token in concepts)


def _german_forms(words: str) -> list[str]:
    forms = []
    for word in words.split():
        stem = word.removesuffix("~")
        forms += [word] if stem == word else [stem + ending for ending in ADJECTIVE_ENDINGS]
    return forms


MASKED_WORDS = MaskedWords.parse(WORD_LIST)
