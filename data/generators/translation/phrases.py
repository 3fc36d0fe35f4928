"""Phrases of the translation corpus: verbs with their objects, adjectives, places and times."""

from __future__ import annotations

from generators.translation.words import (
    ANIMALS,
    CAKES,
    CLOTHES,
    DEVICES,
    FRUITS,
    FURNITURE,
    GOODS,
    HANGING,
    HATS,
    LYING,
    OPENINGS,
    READINGS,
    ROOMS,
    SOUPS,
    STANDING,
    WARDROBE,
    WRITINGS,
    Noun,
    Verb,
    parse_nouns,
    parse_pairs,
    parse_verb,
)

THINGS = [*GOODS, *FURNITURE, *HANGING, *READINGS, *WARDROBE, *HATS]
KINDS_OF_OBJECT: dict[str, list[Noun]] = {
    "things": THINGS,
    "gifts": [*GOODS, *READINGS, *FRUITS, *CAKES],
    "papers": WRITINGS,
    "readings": READINGS,
    "food": [*FRUITS, *CAKES, *SOUPS],
    "cakes": CAKES,
    "soups": SOUPS,
    "clothes": [*CLOTHES, *WARDROBE],
    "hats": HATS,
    "standing": STANDING,
    "lying": LYING,
    "hanging": HANGING,
    "devices": DEVICES,
    "openings": OPENINGS,
    "rooms": ROOMS,
    "machines": [*GOODS[:5], *DEVICES, *FURNITURE],
    "animals": ANIMALS,
    "visible": [*GOODS, *ANIMALS, *FURNITURE],
}


def parse_verbs(table: str) -> list[tuple[str, Verb]]:
    """Parse lines ``kind of object: english = german``."""
    parsed = []
    for english, german in parse_pairs(table):
        kind, _, base = english.rpartition(":")
        parsed.append((kind, parse_verb(base.strip(), german)))
    return parsed


WITH_OBJECT = parse_verbs(
    """
things: buy, bought, bought = kaufen, kauft, gekauft
things: sell, sold, sold = verkaufen, verkauft, verkauft
visible: see, saw, seen = sehen, sieht, gesehen
things: find, found, found = finden, findet, gefunden
readings: read, read, read = lesen, liest, gelesen
food: eat, ate, eaten = essen, isst, gegessen
openings: open = auf|machen, macht, aufgemacht
openings: close = zu|machen, macht, zugemacht
machines: repair = reparieren, repariert, repariert
papers: write, wrote, written = schreiben, schreibt, geschrieben
things: lose, lost, lost = verlieren, verliert, verloren
things: look for = suchen, sucht, gesucht
cakes: bake = backen, backt, gebacken
soups: cook = kochen, kocht, gekocht
things: forget, forgot, forgotten = vergessen, vergisst, vergessen
gifts: bring along, brought, brought = mit|bringen, bringt, mitgebracht
devices: turn on = ein|schalten, schaltet, eingeschaltet
devices: turn off = aus|schalten, schaltet, ausgeschaltet
rooms: tidy up = auf|räumen, räumt, aufgeräumt
rooms: clean = putzen, putzt, geputzt
clothes: put on, put, put = an|ziehen, zieht, angezogen
hats: put on, put, put = auf|setzen, setzt, aufgesetzt
clothes: wash = waschen, wäscht, gewaschen
visible: paint = malen, malt, gemalt
animals: feed, fed, fed = füttern, füttert, gefüttert
visible: draw, drew, drawn = zeichnen, zeichnet, gezeichnet
things: hide, hid, hidden = verstecken, versteckt, versteckt
things: steal, stole, stolen = stehlen, stiehlt, gestohlen
things: throw away, threw, thrown = weg|werfen, wirft, weggeworfen
things: borrow = aus|leihen, leiht, ausgeliehen
"""
)
PUTTING = parse_verbs(
    """
standing: put, put, put = stellen, stellt, gestellt
lying: put, put, put = legen, legt, gelegt
hanging: put, put, put = hängen, hängt, gehängt
"""
)
WITH_RECEIVER = parse_verbs(
    """
gifts: give, gave, given = geben, gibt, gegeben
things: show, showed, shown = zeigen, zeigt, gezeigt
papers: send, sent, sent = schicken, schickt, geschickt
things: lend, lent, lent = leihen, leiht, geliehen
things: sell, sold, sold = verkaufen, verkauft, verkauft
readings: read, read, read = vor|lesen, liest, vorgelesen
"""
)
WITH_PERSON = parse_verbs(
    """
visit = besuchen, besucht, besucht
call = an|rufen, ruft, angerufen
pick up = ab|holen, holt, abgeholt
invite = ein|laden, lädt, eingeladen
meet, met, met = treffen, trifft, getroffen
see, saw, seen = sehen, sieht, gesehen
look for = suchen, sucht, gesucht
find, found, found = finden, findet, gefunden
forget, forgot, forgotten = vergessen, vergisst, vergessen
"""
)
WITH_DATIVE = parse_verbs(
    """
help = helfen, hilft, geholfen
thank = danken, dankt, gedankt
answer = antworten, antwortet, geantwortet
follow = folgen, folgt, gefolgt, sein
congratulate = gratulieren, gratuliert, gratuliert
"""
)
# verb, English preposition, German preposition and its case
WITH_PREPOSITION = [
    (parse_verb("wait", "warten, wartet, gewartet"), "for", "auf", "acc"),
    (parse_verb("talk", "sprechen, spricht, gesprochen"), "to", "mit", "dat"),
    (parse_verb("think, thought, thought", "denken, denkt, gedacht"), "of", "an", "acc"),
    (parse_verb("dream", "träumen, träumt, geträumt"), "of", "von", "dat"),
    (parse_verb("laugh", "lachen, lacht, gelacht"), "at", "über", "acc"),
]
ALONE = parse_verbs(
    """
work = arbeiten, arbeitet, gearbeitet
sleep, slept, slept = schlafen, schläft, geschlafen
sing, sang, sung = singen, singt, gesungen
fall asleep, fell, fallen = ein|schlafen, schläft, eingeschlafen, sein
dance = tanzen, tanzt, getanzt
wait = warten, wartet, gewartet
cry = weinen, weint, geweint
"""
)
GO = (
    parse_verb("go, went, gone", "fahren, fährt, gefahren, sein"),
    parse_verb("go, went, gone", "gehen, geht, gegangen, sein"),
)
ARRIVE = parse_verb("arrive", "an|kommen, kommt, angekommen, sein")
GET_UP = parse_verb("get up, got, got", "auf|stehen, steht, aufgestanden, sein")
LIVE = parse_verb("live", "wohnen, wohnt, gewohnt")
NOT_PROGRESSIVE = (
    "see", "forget", "find", "lose", "live", "think", "have", "want", "like", "hear", "believe",
    "hope", "promise", "begin",
)  # fmt: skip

TRY = (
    parse_verb("try", "versuchen, versucht, versucht"),
    parse_verb("promise", "versprechen, verspricht, versprochen"),
    parse_verb("begin, began, begun", "an|fangen, fängt, angefangen"),
    parse_verb("hope", "hoffen, hofft, gehofft"),
)
SAY = (
    parse_verb("say, said, said", "sagen, sagt, gesagt"),
    parse_verb("believe", "glauben, glaubt, geglaubt"),
    parse_verb("hear, heard, heard", "hören, hört, gehört"),
    parse_verb("think, thought, thought", "denken, denkt, gedacht"),
)
POSITIONS = {"standing": ("steht", "stehen", "stand", "standen"),
             "lying": ("liegt", "liegen", "lag", "lagen"),
             "hanging": ("hängt", "hängen", "hing", "hingen")}  # fmt: skip

FOR_PERSONS = parse_pairs(
    "old = alt\nyoung = jung\nfriendly = freundlich\nstrict = streng\nfamous = berühmt\n"
    "tired = müd\nclever = klug\nsick = krank\nrich = reich\nhungry = hungrig"
)
FOR_THINGS = parse_pairs(
    "new = neu\nbig = groß\nsmall = klein\nold = alt\nbeautiful = schön\nheavy = schwer\n"
    "expensive = teur\ncheap = billig\ndirty = schmutzig\nbroken = kaputt"
)
COLOURS = parse_pairs(
    "red = rot\nblue = blau\nblack = schwarz\nwhite = weiß\ngreen = grün\nbrown = braun"
)
FOR_ANIMALS = parse_pairs("big = groß\nsmall = klein\nold = alt\nyoung = jung\nblack = schwarz")
FOR_READINGS = parse_pairs(
    "long = lang\nnew = neu\nshort = kurz\ninteresting = interessant\nstrange = seltsam\n"
    "sad = traurig\nboring = langweilig"
)
FOR_FOOD = parse_pairs("fresh = frisch\nbig = groß\nsmall = klein\ncold = kalt")
COMPARED = parse_pairs(
    "bigger = größer\nsmaller = kleiner\nheavier = schwerer\nolder = älter\ncheaper = billiger\n"
    "more expensive = teurer\nmore beautiful = schöner"
)

PLACES = {
    noun.english: noun
    for noun in parse_nouns(
        "table = der Tisch, Tische\nbench = die Bank, Bänke\nshelf = das Regal, Regale\n"
        "bed = das Bett, Betten\nsofa = das Sofa, Sofas\ndoor = die Tür, Türen\n"
        "cupboard = der Schrank, Schränke\ntree = der Baum, Bäume\nwall = die Wand, Wände\n"
        "kitchen = die Küche, Küchen\nliving room = das Wohnzimmer, Wohnzimmer\n"
        "cellar = der Keller, Keller\nhouse = das Haus, Häuser\ncurtain = der Vorhang, Vorhänge\n"
        "window = das Fenster, Fenster\nmirror = der Spiegel, Spiegel"
    )
}
# English preposition, German preposition, places
SPOTS = (
    ("on", "auf", ("table", "bench", "shelf", "bed")),
    ("next to", "neben", ("sofa", "door", "bed", "cupboard")),
    ("under", "unter", ("table", "bench", "tree")),
    ("in", "in", ("cupboard", "kitchen", "living room", "cellar")),
    ("behind", "hinter", ("door", "house", "curtain")),
    ("in front of", "vor", ("window", "house", "mirror")),
)
HANGING_SPOTS = (
    ("on", "an", ("wall", "door")),
    ("over", "über", ("sofa", "bed", "table")),
    ("next to", "neben", ("window", "door", "shelf")),
)
WHERE = parse_pairs(
    """
in the kitchen = in der Küche
in the garden = im Garten
at the market = auf dem Markt
in the library = in der Bibliothek
at the station = am Bahnhof
in the park = im Park
in the office = im Büro
at the lake = am See
in the hotel = im Hotel
on the balcony = auf dem Balkon
in the cellar = im Keller
in the theatre = im Theater
at the harbour = am Hafen
in the village = im Dorf
on the bridge = auf der Brücke
in Berlin = in Berlin
in Vienna = in Wien
"""
)
ARRIVING = parse_pairs(
    "at the station = am Bahnhof\nin Hamburg = in Hamburg\nat the harbour = am Hafen\n"
    "in the village = im Dorf\nin Prague = in Prag\nat the lake = am See\nin Vienna = in Wien"
)
TO = parse_pairs(
    """
to the station = zum Bahnhof
to the market = zum Markt
to the library = in die Bibliothek
to the park = in den Park
to the theatre = ins Theater
to the lake = an den See
to the harbour = zum Hafen
to the hospital = ins Krankenhaus
to the bakery = zur Bäckerei
to the museum = ins Museum
to the school = zur Schule
"""
)
CITIES = parse_pairs(
    "Berlin = Berlin\nVienna = Wien\nHamburg = Hamburg\nMunich = München\nCologne = Köln\n"
    "Zurich = Zürich\nPrague = Prag\nRome = Rom"
)
VEHICLES = parse_pairs(
    "by train = mit dem Zug\nby bus = mit dem Bus\nby car = mit dem Auto\n"
    "by bicycle = mit dem Fahrrad\nby tram = mit der Straßenbahn\nby ship = mit dem Schiff"
)
MANNERS = parse_pairs(
    "quickly = schnell\nslowly = langsam\nsecretly = heimlich\ncarefully = vorsichtig"
)

DAYS = parse_pairs(
    "Monday = Montag\nTuesday = Dienstag\nWednesday = Mittwoch\nThursday = Donnerstag\n"
    "Friday = Freitag\nSaturday = Samstag\nSunday = Sonntag"
)
ALWAYS = parse_pairs(
    "every day = jeden Tag\nevery morning = jeden Morgen\nevery week = jede Woche\n"
    "today = heute\nin the evening = am Abend"
)
BEFORE = parse_pairs(
    "yesterday = gestern\nyesterday evening = gestern Abend\nlast week = letzte Woche\n"
    "last year = letztes Jahr\nin the morning = am Morgen"
)
AFTER = parse_pairs(
    "tomorrow = morgen\ntomorrow evening = morgen Abend\nnext week = nächste Woche\n"
    "next year = nächstes Jahr\nsoon = bald"
)
# units of "three weeks ago" / "in three weeks": English plural, German dative plural
SPANS = parse_pairs(
    "days = Tagen\nweeks = Wochen\nmonths = Monaten\nyears = Jahren\nhours = Stunden"
)
HOURS = (
    "", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve",
)  # fmt: skip
ENGLISH_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen",
)  # fmt: skip
ENGLISH_TENS = (
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
