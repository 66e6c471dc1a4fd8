"""Invented names and values: people, places, organisations, dates, amounts.

Knows how a value is spelt; which facts use it is left to facts.py. A name is drawn either for
training or for testing: the checksum of its spelling decides, so the two never share one.
"""

import zlib

# Syllables are few enough that the tokenizer learns most of them whole, and many enough that
# their combinations are practically never met twice.
FIRST_HEADS = ("Ma To El Bri Ka Len Dar Or Fe Ru Sel Ta Vi Jo Hen Mi Al Ne Ro Ta Sa Is Be Ly Cor "
               "Da An Er Pe Lu Ga Wil Ha No Ze Ar Que Ti Bo Fin").split()
FIRST_TAILS_SHE = "ra lia na ssa nya ren lle dra sia mi tta beth lin vy rine la della ya ris wen".split()
FIRST_TAILS_HE = "ben rik dor las mon vin ton ric gar nas lo rus mund kel than bert son mir ko vard".split()
SURNAME_HEADS = ("Vel Hol Bran Or Tes Kar Mor Win Ash Dun Fal Gre Hart Jas Kel Lam Mar Nor Os Pel "
                 "Quil Ras Sten Thor Ul Var Wes Yar Zel Bar Cal Dren Ech Fen Gol Har Ing Lor Mel "
                 "Ost Pra Rei Sal Tur Vos").split()
SURNAME_TAILS = ("den gren man wick lund mer ley sten ner rov ski by more field vich dale ton ker "
                 "nik ling berg dez tas rell quist ard well hart sson gate").split()
PLACE_HEADS = ("Tor Ald Brem Cas El Far Grim Hel Ist Kal Lin Mar Nor Ob Pen Rav Sil Thal Ur Var "
               "Wes Yel Zan Bel Cor Dor Eg Fin Gal Hav Jor Lo Mil Os Pol Run Sor Ver").split()
PLACE_TAILS = ("rin stead ton ford burg wick haven mere dale port field mouth by stad ham ville "
               "gard more ness holm ia ora ano esk bridge cliff").split()
ORG_TAILS = ("Mills|Shipping|Bakery|and Sons|Trading Company|Press|Glassworks|Foods|Bank|Institute|"
             "Brothers|Motors|Logistics|Textiles|Museum|Builders|Insurance|Timber|Labs|Partners|"
             "Farms|Steel|Hotels|Airlines|Software|Energy|Dairy|Brewery").split("|")

# Names that occur in the world, so that a reader's own document is not foreign to the model.
REAL_SHE = ("Anna Maria Helena Clara Julia Sarah Emma Laura Nora Alice Ingrid Sofia Olga Ruth Irene "
            "Mary Grace Fatima Priya Lucy Diana Martha Eva Hannah Linda Susan Karen").split()
REAL_HE = ("John Peter Thomas David Martin Paul James Robert Daniel Samuel Omar Ivan Carlos Victor "
           "Henry George Hugo Felix Marco Oscar William Michael Richard Mark Adam Simon Erik").split()
REAL_SURNAMES = ("Smith Brown Miller Marsh Keller Novak Silva Jensen Rossi Weber Hughes Clark Adams "
                 "Fischer Lopez Meyer Walker Young Carter Bennett Fox Reed Cole Porter Hayes Stone "
                 "Baker Ward Moreau Tanaka Singh Khan Larsen Murphy").split()
REAL_PLACES = ("London Paris Boston Vienna Lisbon Oslo Madrid Dublin Prague Berlin Geneva Milan "
               "Toronto Chicago Hamburg Cairo Denver Warsaw Athens Rome York Leeds").split()

MONTHS = ("January February March April May June July August September October November "
          "December").split()
CURRENCIES = "euros dollars crowns pounds francs marks florins ducats".split()

CONSONANTS = "bcdfghjklmnprstvwz"
VOWELS = "aeiou"


def is_test_name(name):
    """One name in eight is kept for testing and never seen in training."""
    return zlib.crc32(name.encode()) % 8 == 0


class Namer:
    """Draws values that are distinct within one document."""

    def __init__(self, rng, testing):
        self.rng = rng
        self.testing = testing
        self.used = set()

    def _invented(self, draw):
        # A name from the other side of the split, or one already in the document, is drawn again.
        while True:
            name = draw()
            if is_test_name(name) == self.testing and name not in self.used:
                self.used.add(name)
                return name

    def _free_word(self):
        # A word of no inventory: keeps the model from learning the syllables instead of copying.
        rng = self.rng
        word = "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(rng.choice((1, 2, 2, 3))))
        return (word + rng.choice(("", "n", "r", "s", "l", "k", "nd", "ck", "rt"))).capitalize()

    def first_name(self, she):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.15:
            free = [n for n in (REAL_SHE if she else REAL_HE) if n not in self.used]
            if free:
                name = rng.choice(free)
                self.used.add(name)
                return name
        if kind < 0.30:
            return self._invented(self._free_word)
        tails = FIRST_TAILS_SHE if she else FIRST_TAILS_HE
        return self._invented(lambda: rng.choice(FIRST_HEADS) + rng.choice(tails))

    def surname(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.15:
            free = [n for n in REAL_SURNAMES if n not in self.used]
            if free:
                name = rng.choice(free)
                self.used.add(name)
                return name
        if kind < 0.30:
            return self._invented(self._free_word)
        return self._invented(lambda: rng.choice(SURNAME_HEADS) + rng.choice(SURNAME_TAILS))

    def place(self):
        rng, kind = self.rng, self.rng.random()
        if kind < 0.10:
            free = [n for n in REAL_PLACES if n not in self.used]
            if free:
                name = rng.choice(free)
                self.used.add(name)
                return name
        if kind < 0.20:
            return self._invented(self._free_word)
        name = self._invented(lambda: rng.choice(PLACE_HEADS) + rng.choice(PLACE_TAILS))
        if rng.random() < 0.06:
            name = rng.choice(("New ", "Upper ", "Old ", "Port ", "North ", "Saint ")) + name
        return name

    def org(self):
        rng = self.rng
        head = rng.choice((self.surname, self.surname, self.place))()
        return head + " " + rng.choice(ORG_TAILS)

    def date(self, style):
        """A day in the style that the whole document keeps to."""
        rng = self.rng
        day, month, year = rng.randint(1, 28), rng.choice(MONTHS), rng.randint(1900, 2035)
        return {"day": f"{day} {month} {year}", "us": f"{month} {day}, {year}",
                "short": f"{day} {month}", "of": f"{month} {day}"}[style]

    def year(self):
        return str(self.rng.randint(1700, 2030))

    def amount(self, style):
        rng = self.rng
        value = rng.choice((rng.randint(2, 99), rng.randint(100, 999), rng.randint(10, 99) * 10,
                            rng.randint(1000, 9999), rng.randint(10, 999) * 100,
                            rng.randint(2, 99) * 1000))
        digits = f"{value:,}" if style[0] == "," else str(value)
        return {"$": "$" + digits, "e": "€" + digits, "p": "£" + digits}.get(
            style[1], digits + " " + style[2:])

    def amount_style(self):
        rng = self.rng
        return rng.choice((",", "_")) + rng.choice(("w", "w", "w", "w", "$", "$", "e", "p")) + rng.choice(CURRENCIES)

    def count(self):
        rng = self.rng
        return str(rng.choice((rng.randint(3, 99), rng.randint(100, 999), rng.randint(10, 90) * 100)))
