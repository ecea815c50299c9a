"""Generated probes: pairs that differ by one thing, and identifiers that one document holds. Seeded.

Their wording is not the training's: sentences are made from templates here, from the collections there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from training import collections
from training.collections import Group

from evaluation.judged import SEED, Judged, of_texts

COUNT: Final = 200


@dataclass(frozen=True, slots=True)
class Pair:
    """A query, the text that answers it, and one that differs where it counts."""

    query: str
    right: str
    wrong: str


_NUMBERED: Final = (
    ("{x} inch {thing}", "{thing}, {x} inch, {adjective} finish", (10, 12, 15, 20, 24, 27, 32, 40, 43, 55, 65, 75)),
    (
        "{thing} under £{x}",
        "The {adjective} {thing} now costs £{x} in our shop.",
        (9, 19, 25, 48, 60, 99, 149, 250, 480),
    ),
    (
        "bake {food} at {x}°F",
        "Bake the {food} at {x}°F until golden brown.",
        (140, 250, 300, 325, 350, 375, 400, 425, 500),
    ),
    ("pack of {x} {thing}s", "{adjective} {thing}s, pack of {x}", (2, 3, 4, 5, 6, 8, 10, 12, 20, 24, 50, 100)),
    ("who won the cup in {x}", "In {x} the cup was won by {team}.", tuple(range(1950, 2024))),
    (
        "{x} mg {drug} side effects",
        "Adults who took {x} mg of {drug} reported headaches.",
        (5, 10, 20, 25, 40, 50, 100, 200, 400),
    ),
    (
        "{tool} error {x}",
        "{tool} stops with error {x} when the disk is full.",
        (12, 13, 28, 104, 111, 113, 401, 403, 404, 500, 503),
    ),
    (
        "{tool} version {x} release notes",
        "Release notes of {tool} version {x}: faster start.",
        (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 21),
    ),
    (
        "hotel for {x} people in {city}",
        "A {adjective} hotel in {city} that sleeps {x} people.",
        (2, 3, 4, 5, 6, 8, 10, 12),
    ),
    ("population of {city} {x}", "The census of {x} counted the population of {city}.", tuple(range(1850, 2022, 10))),
)
_UNITS: Final = (
    ("{n} kg {thing}", "{adjective} {thing}, weight {n} kg", "kg", ("g", "lb", "oz", "mg")),
    ("{n} cm {thing}", "{thing} {n} cm, {adjective}", "cm", ("mm", "m", "inch", "ft")),
    ("{n} GB memory card", "Memory card with {n} GB for cameras", "GB", ("MB", "TB", "KB")),
    ("{n} ml {food} bottle", "Bottle for {food}, {n} ml", "ml", ("l", "oz", "gallons")),
    ("{n} mg {drug} dose", "The usual dose of {drug} is {n} mg a day.", "mg", ("g", "mcg", "ml")),
    ("run {n} miles training plan", "A training plan to run {n} miles", "miles", ("km", "metres", "minutes")),
    ("cook {food} {n} minutes", "Cook the {food} for {n} minutes.", "minutes", ("seconds", "hours", "days")),
    ("{thing} price €{n}", "{adjective} {thing}, €{n}", "€", ("$", "£", "¥")),
    ("oven {n} °C {food}", "Heat the oven to {n} °C for the {food}.", "°C", ("°F", "K")),
    ("{tool} timeout {n} ms", "The timeout of {tool} is {n} ms by default.", "ms", ("s", "min", "h")),
    ("{thing} warranty {n} years", "The {thing} has a warranty of {n} years.", "years", ("months", "weeks", "days")),
    ("{n} W {thing} power", "{thing} with a power of {n} W", "W", ("kW", "V", "mW")),
)
_NEGATED: Final = (
    ("{thing} without {part}", "{adjective} {thing} without {part}", "{adjective} {thing} with {part}"),
    ("{thing} with no {part}", "This {thing} has no {part}.", "This {thing} has a {part}."),
    ("{thing} with {part}", "The {thing} comes with {part}.", "The {thing} does not come with {part}."),
    ("{food} recipe without {ingredient}", "{food} made with no {ingredient}", "{food} made with {ingredient}"),
    ("{ingredient} free {food}", "A {food} that contains no {ingredient}", "A {food} that contains {ingredient}"),
    ("{tool} does not need {part}", "{tool} works without any {part}.", "{tool} only works with a {part}."),
    (
        "patients not treated with {drug}",
        "Outcomes of patients who never received {drug}",
        "Outcomes of patients who received {drug}",
    ),
    (
        "which {thing} is not {adjective}",
        "Unlike the rest, this {thing} is not {adjective}.",
        "Like the rest, this {thing} is {adjective}.",
    ),
    ("{drug} does not reduce mortality", "{drug} failed to reduce mortality.", "{drug} reduced mortality."),
    (
        "cities in {country} without an airport",
        "{city}, a city in {country}, lacks an airport.",
        "{city}, a city in {country}, has a large airport.",
    ),
)
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "thing": (
        "monitor",
        "backpack",
        "suitcase",
        "lamp",
        "frying pan",
        "desk",
        "drill",
        "stroller",
        "shelf",
        "mirror",
        "tent",
    ),
    "adjective": (
        "black",
        "stainless",
        "foldable",
        "portable",
        "wooden",
        "modern",
        "waterproof",
        "cheap",
        "quiet",
        "vintage",
    ),
    "food": ("bread", "lasagna", "cheesecake", "soup", "pancakes", "chicken", "salmon", "cookies", "granola", "pizza"),
    "team": ("Rovers", "the Wanderers", "United", "Athletic", "the Lions"),
    "drug": ("aspirin", "metformin", "ibuprofen", "atorvastatin", "amoxicillin", "warfarin"),
    "tool": ("rsync", "nginx", "Docker", "the installer", "the backup agent", "Postgres"),
    "city": ("Leeds", "Lyon", "Porto", "Ghent", "Graz", "Turin"),
    "country": ("France", "Portugal", "Austria", "Italy", "Belgium"),
    "part": ("wheels", "battery", "remote", "lid", "handle", "cable", "filter", "strap", "adapter", "zipper"),
    "ingredient": ("sugar", "gluten", "eggs", "nuts", "butter", "milk", "garlic", "soy"),
}


def numbers(rng: random.Random) -> Pair:
    """Return a pair that differs by a number."""
    query, text, values = rng.choice(_NUMBERED)
    right, wrong = rng.sample(values, 2)
    words = _chosen(rng)
    return Pair(query.format(x=right, **words), text.format(x=right, **words), text.format(x=wrong, **words))


def units(rng: random.Random) -> Pair:
    """Return a pair that differs by a unit."""
    query, text, unit, others = rng.choice(_UNITS)
    words = {
        **_chosen(rng),
        "n": str(rng.choice((2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 64, 100, 128, 180, 200, 250, 500))),
    }
    right, other = text.format(**words), rng.choice(others)
    spelled = f"{unit}{words['n']}" if unit == "€" else f"{words['n']} {unit}"
    instead = f"{other}{words['n']}" if unit == "€" else f"{words['n']} {other}"
    return Pair(query.format(**words), right, right.replace(spelled, instead))


def negations(rng: random.Random) -> Pair:
    """Return a pair that differs by a negation."""
    return Pair(*(text.format(**words) for words in [_chosen(rng)] for text in rng.choice(_NEGATED)))


PAIRS: Final[dict[str, Callable[[random.Random], Pair]]] = {"numbers": numbers, "units": units, "negations": negations}


def pairs(kind: str, count: int = COUNT) -> list[Pair]:
    """Return ``count`` different pairs of a kind."""
    rng, found = random.Random(f"{SEED} {kind}"), dict[str, Pair]()
    while len(found) < count:
        pair = PAIRS[kind](rng)
        found[f"{pair.query} {pair.right} {pair.wrong}"] = pair
    return list(found.values())


def _chosen(rng: random.Random) -> dict[str, Any]:
    return {name: rng.choice(words) for name, words in _WORDS.items()}


_CODES: Final = (
    "GSE{e}",
    "NM_{f}.{a}",
    "KB{g}",
    "CVE-20{b}-{d}",
    "{L}{L}{L}-{d}-{a}",
    "SKU {d}{L}{L}",
    "978-{a}-{d}-{c}-{a}",
    "ERR_{d}",
    "0x{g}",
    "RFC {d}",
    "{L}{b}{L}{c}",
    "{e}",
    "EN {e}",
    "v{a}.{b}.{c}",
    "P/N {d}-{c}",
    "DIN-{e}",
    "{L}{L}{d}{L}",
    "PMC{g}",
)
_ASKED: Final = (
    "{code}",
    "{code}",
    "{code}",
    "{words} {code}",
    "{code} {words}",
    "what is {code}",
    "documentation for {code}",
)


def identifiers(data: Path) -> Judged:
    """Return 200 queries for a code that one document of 2,200 holds."""
    rng = random.Random(SEED)
    groups = [*collections.pages(data, "articles", "train"), *collections.pages(data, "articles", "test")]
    plain = [group for group in groups if len(group.positives[0].split()) > 20]
    holding = [_holding(group, rng) for group in rng.sample(plain, COUNT)]
    return of_texts("identifiers", [*groups, *holding], holding)


def _holding(group: Group, rng: random.Random) -> Group:
    code = "".join(_part(c, rng) for c in _split(rng.choice(_CODES)))
    words = group.positives[0].split()
    at = rng.randrange(len(words))
    some = " ".join(rng.sample(words[:40], 2))
    text = " ".join([*words[:at], f"({code})", *words[at:]])
    return Group("identifiers", rng.choice(_ASKED).format(code=code, words=some), (text,))


def _split(form: str) -> Iterator[str]:
    yield from form.replace("{", "\0{").replace("}", "}\0").split("\0")


def _part(piece: str, rng: random.Random) -> str:
    digits = {"{a}": 1, "{b}": 2, "{c}": 3, "{d}": 4, "{e}": 5, "{f}": 6, "{g}": 7}
    if piece == "{L}":
        return rng.choice("ABCDEFGHJKLMNPQRSTUVWXZ")
    return "".join(rng.choice("123456789") for _ in range(digits[piece])) if piece in digits else piece


_BEFORE: Final = (
    "Hello everybody, I am new here and have looked through many pages without finding what I need, so "
    "please bear with me:",
    "I was talking about this with a friend yesterday evening and neither of us could remember it, "
    "although we both heard it once;",
    "For a small project of mine that has to be finished by the end of the week I still need to know one "
    "more thing, namely",
)
_AFTER: Final = (
    "Any hint is welcome, also where I could read more about it, since I would like to understand it "
    "properly and not only guess.",
    "Thank you very much in advance for your time and your patience, and sorry if this was asked and "
    "answered here before.",
    "I have already asked two colleagues of mine and searched on my own for an hour, but could not come "
    "to any conclusion at all.",
)


def verbose(data: Path) -> Judged:
    """Return the held-out general questions, each amid what people write around a question: over 40 words."""
    groups = list(collections.questions(data, held_out=True))
    rng = random.Random(SEED)
    asked = [
        Group("verbose", f"{rng.choice(_BEFORE)} {group.query} {rng.choice(_AFTER)}", group.positives, group.negatives)
        for group in rng.sample(groups, COUNT)
    ]
    negatives = [Group("verbose", "", (text,)) for group in groups for text in (*group.positives, *group.negatives)]
    return of_texts("verbose", [*negatives, *asked], asked)
