"""Documents with questions: writes a text of facts about invented subjects and asks for them.

Knows how sentences are joined to a document and which facts may be asked for; words and names come
from facts.py and names.py. `make_document(split, seed, index)` is a function of its arguments alone.
"""

import random
import re
import textwrap
from dataclasses import dataclass

from facts import FILLERS, KINDS, TITLES, WORDS
from names import REAL_HE, REAL_SHE, Namer

# Stands for a space inside an answer while a document is wrapped, so that answers are rarely broken
# between two lines; where one is, the answer still has a space there.
HARD_SPACE = "\x00"


@dataclass
class Question:
    text: str
    answer: str
    kind: str  # "paper: signer"
    fact_end: int  # where the sentence of the fact ends, in characters of the document
    name: str  # what the question calls its subject
    telling: object  # the Telling of the fact


@dataclass
class Telling:
    """One sentence about a subject, by places in the document's characters."""
    end: int  # behind its last character
    named: int  # behind the subject's name in it, or behind the last one before it that it refers to
    values: dict  # fact -> (start, end)


@dataclass
class Document:
    text: str
    questions: list
    tellings: list


@dataclass
class Subject:
    kind: object
    name: str  # "the lease", "Mara Velden"
    values: dict
    pronoun: tuple  # ("she", "her")
    told: bool = False  # whether the full name has stood in the document

    def short(self):
        return self.name.split()[0]


class Drill:
    """What a training document keeps to, so that what is rare in the others comes often.

    Sentences that name the fact before the subject; and in most a few kinds with the same few facts about
    each subject: who looks for the kind of fact alone finds as many answers as there are subjects.
    """

    def __init__(self, rng):
        self.fact_first = rng.choice((0.3, 0.7, 1.0))
        self.met = set()  # people who are subjects already: each is one only once
        self.kinds, self.facts = KINDS, {kind: list(kind.facts) for kind in KINDS}
        if rng.random() < 0.6:
            self.kinds = rng.sample(sorted(set(KINDS), key=lambda kind: kind.name), rng.choice((1, 1, 2)))
            self.facts = {kind: rng.sample(sorted(kind.facts), rng.choice((1, 2, 3, 4))) for kind in self.kinds}

    def template(self, rng, templates):
        first = [t for t in templates if fact_first(t)]
        return rng.choice(first if first and rng.random() < self.fact_first else templates)


class Writer:
    def __init__(self, rng, testing, drill=None):
        self.rng = rng
        self.drill = drill
        self.namer = Namer(rng, testing)
        self.date_style = rng.choice(("day", "day", "us", "us", "short", "of"))
        self.amount_style = self.namer.amount_style()
        self.people = []  # (name, pronoun)
        self.taken = set()  # nouns and words already in use
        self.places = []
        self.last_subject = None
        # Some documents speak of people by first name, some use pronouns, some repeat every name.
        self.pronoun_rate = rng.choice((0.0, 0.3, 0.7))
        self.short_rate = rng.choice((0.0, 0.0, 0.3))

    def new_person(self):
        she = self.rng.random() < 0.5
        first = self.namer.first_name(she)
        person = (first + " " + self.namer.surname(), ("she", "her") if she else ("he", "his"))
        self.people.append(person)
        return person

    def person(self, but=None):
        # People return in several roles, so that a name does not tell its role.
        others = [person for person in self.people if person[0] != but]
        if others and self.rng.random() < 0.35:
            return self.rng.choice(others)
        return self.new_person()

    def place(self):
        if self.places and self.rng.random() < 0.15:
            return self.rng.choice(self.places)
        self.places.append(self.namer.place())
        return self.places[-1]

    def value(self, kind, subject):
        rng, namer = self.rng, self.namer
        if kind == "person":
            return self.person(but=subject.name)[0]
        if kind in WORDS:
            free = [w for w in WORDS[kind] if w not in self.taken] or WORDS[kind]
            word = rng.choice(free)
            self.taken.add(word)
            return word
        if kind == "term":
            number = rng.choice(("two three four five six seven eight nine ten twelve twenty thirty".split(),
                                 [str(n) for n in range(2, 60)])[rng.random() < 0.5])
            return number + " " + rng.choice(("years", "months", "weeks", "days"))
        if kind == "clock":
            hour, minute = rng.randint(1, 12), rng.choice(("00", "15", "30", "45"))
            return rng.choice((f"{hour}:{minute}", f"{hour} o'clock", f"{hour}:{minute} {rng.choice(('am', 'pm'))}"))
        if kind == "phone":
            return f"{rng.randint(10, 999)}-{rng.randint(100, 9999)}"
        if kind == "code":
            return rng.choice("ABCDEFGHKLMNPRSTVWXZ") + rng.choice(("", "-", "-")) + str(rng.randint(10, 9999))
        if kind == "mass":
            return f"{rng.randint(2, 900)} {rng.choice(('kilograms', 'pounds', 'tons', 'grams', 'kilos'))}"
        if kind == "age":
            return str(rng.randint(18, 97))
        return {"date": lambda: namer.date(self.date_style), "place": self.place, "org": namer.org,
                "amount": lambda: namer.amount(self.amount_style), "year": namer.year,
                "count": namer.count}[kind]()

    def subject(self):
        rng = self.rng
        kind = rng.choice(self.drill.kinds if self.drill else KINDS)
        pronoun = ("it", "its")
        if kind.name == "person":
            subjects = {s.name for s in self.subjects}
            free = [p for p in self.people if p[0] not in subjects]
            name, pronoun = rng.choice(free) if free and rng.random() < 0.5 else self.new_person()
            if self.drill and name in self.drill.met:
                name, pronoun = self.new_person()
            if self.drill:
                self.drill.met.add(name)
        elif kind.name == "company":
            name = self.namer.org()
        else:
            nouns = [n.strip() for line in kind.nouns for n in line.split("|")]
            # "the contract" and "the supply contract" do not stand in one document: which one a
            # question means would be unclear.
            nouns = [n for n in nouns if n.split()[-1] not in self.taken]
            if not nouns:
                return None
            noun = rng.choice(nouns)
            self.taken.add(noun.split()[-1])
            name = "the " + noun
        facts = self.drill.facts[kind] if self.drill else list(kind.facts)
        facts = rng.sample(facts, min(len(facts), rng.choice((1, 2, 2, 3, 3, 4, 5))))
        return Subject(kind, name, dict.fromkeys(facts), pronoun)

    def statements(self, subject):
        """Sentences that tell each of the subject's facts once: (template, names of its facts)."""
        rng = self.rng
        left, chosen = set(subject.values), []
        while left:
            joint = [t for t in subject.kind.joint if set(slots(t)) <= left]
            if joint and rng.random() < 0.5:
                template = rng.choice(joint)
            else:
                templates = subject.kind.facts[rng.choice(sorted(left))][1]
                template = self.drill.template(rng, templates) if self.drill else rng.choice(templates)
            chosen.append((template, slots(template)))
            left -= set(slots(template))
        rng.shuffle(chosen)
        return chosen

    def name_of(self, subject):
        if subject.kind.name == "person" and subject.told and self.rng.random() < self.short_rate:
            return subject.short()
        subject.told = True
        return subject.name

    def sentence(self, subject, template):
        """The sentence's text, with hard spaces inside facts."""
        rng = self.rng
        follows = self.last_subject is subject and subject.told and rng.random() < self.pronoun_rate
        self.last_subject = subject
        out = template
        if "{S}" in out:
            out = out.replace("{S}", subject.pronoun[0] if follows else self.name_of(subject))
        if "{P}" in out:
            out = out.replace("{P}", subject.pronoun[1] if follows else self.name_of(subject) + "'s")
        if "{s}" in out:
            out = out.replace("{s}", self.name_of(subject))
        for slot in slots(template):
            if subject.values[slot] is None:
                subject.values[slot] = self.value(subject.kind.facts[slot][0], subject)
            out = out.replace("{" + slot + "}", subject.values[slot].replace(" ", HARD_SPACE))
        return capitalised(out)

    def filler(self, template):
        def fill(match):
            if match[1] == "person":
                return self.person()[0]
            if match[1] == "place":
                return self.place()
            return self.rng.choice(self.subjects).name
        self.last_subject = None
        return capitalised(re.sub(r"\{(person|place|thing)\}", fill, template))

    def write(self, size_chars):
        """A document of about that many characters."""
        rng = self.rng
        self.subjects = []
        told = []  # (sentence, subject, facts)
        length = 0
        filler_rate = rng.choice((0.0, 0.1, 0.2))
        scattered = rng.random() < 0.3
        pending = []
        while length < size_chars:
            if not pending:
                group = [s for s in (self.subject() for _ in range(4 if scattered else 1)) if s]
                if not group and self.drill and told:
                    break
                if not group:
                    continue  # that kind's nouns are used up; people and companies never are
                self.subjects += group
                pending = [(s, t, f) for s in group for t, f in self.statements(s)]
                if scattered:
                    rng.shuffle(pending)
            if rng.random() < filler_rate:
                told.append((self.filler(rng.choice(FILLERS)), None, []))
            subject, template, facts = pending.pop(0)
            told.append((self.sentence(subject, template), subject, facts))
            length += len(told[-1][0]) + 1
        return self.document(told)

    def document(self, told):
        rng = self.rng
        form = rng.choice(("block", "block", "paragraphs", "paragraphs", "wrapped", "wrapped", "lines"))
        title = capitalised(self.filler(rng.choice(TITLES))) if rng.random() < 0.3 else ""
        text, ends = "", []
        for index, (sentence, subject, _) in enumerate(told):
            if not text:
                text = title + ("\n\n" if title else "")
            elif form == "lines":
                text += "\n"
            elif form != "block" and subject is not told[index - 1][1] and rng.random() < 0.5:
                text += "\n\n"
            else:
                text += " "
            text += sentence
            ends.append(len(text))
        if form == "wrapped":
            width = rng.randint(50, 100)
            if rng.random() < 0.3:
                text = text.replace(HARD_SPACE, " ")
            text = "\n\n".join(textwrap.fill(part, width, break_long_words=False, break_on_hyphens=False)
                               for part in text.split("\n\n"))
        text = text.replace(HARD_SPACE, " ")
        tellings = self.tellings(text, told, ends)
        return Document(text, self.questions(told, tellings), [t for t in tellings if t])

    def tellings(self, text, told, ends):
        """A Telling for each sentence, None for those about nothing."""
        text = text.replace("\n", " ").lower()  # as long as before: all letters are of plain Latin
        found, named = [], {}
        for (sentence, subject, facts), end in zip(told, ends):
            if subject is None:
                found.append(None)
                continue
            start = end - len(sentence)
            for name in (subject.name.lower(), subject.short().lower()):
                at = -1 if name == "the" else text.find(name, start, end)
                if at >= 0:
                    named[subject.name] = at + len(name)
                    break
            values = {}
            for fact in facts:
                value = subject.values[fact].lower()
                at = text.find(value, start, end)
                values[fact] = (at, at + len(value))
            found.append(Telling(end, named[subject.name], values))
        return found

    def questions(self, told, tellings):
        rng = self.rng
        found = []
        for (_, subject, facts), telling in zip(told, tellings):
            for fact in facts:
                name = subject.name
                if subject.kind.name == "person" and rng.random() < 0.15:
                    name = subject.short()
                elif subject.kind.nouns and len(name.split()) > 2 and rng.random() < 0.25:
                    # "the contract" for "the supply contract": no other contract is in the document.
                    name = "the " + name.split()[-1]
                question = capitalised(rng.choice(subject.kind.facts[fact][2]).replace("{s}", name))
                found.append(Question(question, subject.values[fact], f"{subject.kind.name}: {fact}",
                                      telling.end, name, telling))
        rng.shuffle(found)
        return found


def slots(template):
    return [name for name in re.findall(r"\{(\w+)\}", template) if name not in ("S", "s", "P")]


def fact_first(template):
    """Whether the sentence names a fact before its subject."""
    return re.match(r"[^{]*\{\w{2,}\}", template) is not None


def capitalised(text):
    return text[:1].upper() + text[1:]


def make_document(split, seed, index, size_chars, drilled=False):
    """Document `index` of a stream. split: "train" or "test"; the two share no seed and no invented name."""
    rng = random.Random(f"{split}/{seed}/{index}")
    return Writer(rng, split == "test", Drill(rng) if drilled else None).write(size_chars)


if __name__ == "__main__":
    for number in range(4):
        document = make_document("train", 0, number, 500 + 300 * number)
        print(document.text, end="\n\n")
        for question in document.questions:
            print(" ", question.text, "->", question.answer, f"[{question.kind}]")
        print("-" * 80)
