"""Countries as people write them: ISO codes of two and three letters, and names in any language.

Names and codes come from Unicode's CLDR as Babel has it. Case, accents, punctuation and words such as "Republic of"
do not count. Where two countries have one name, nothing is guessed, but for a country's own language, which goes first.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

import pyarrow as pa

from crm_pipeline.verification.parts import readable
from crm_pipeline.verification.role_names import PLACEHOLDER_WORDS

_MOST_CHARACTERS = 200
# Marks are accents in scripts below U+0900, and letters in those of India and behind them.
_NOT_COMPARED = re.compile(r"[^\w\u0900-\U0010ffff]|[_\u2000-\u206f\u3000-\u3020\u30fb]")
_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"})
# What CLDR has not: parts of countries that stand for them, former and official names that are not made of the common
# ones by leaving words out, and abbreviations.
_OTHER_FORMS = {
    "AE": "UAE, Emirates",
    "AX": "Aland",
    "BA": "Bosnia",
    "BQ": "Bonaire Sint Eustatius and Saba",
    "CD": "DRC, DR Congo, Congo DR, Congo DRC, Democratic Republic of the Congo, Zaire",
    "CG": "Republic of the Congo, Congo Republic, Congo Brazzaville",
    "CI": "Ivory Coast",
    "CN": "PRC, People's Republic of China, PR China, Mainland China",
    "CV": "Cape Verde",
    "CZ": "Czech Republic",
    "DE": "Bundesrepublik Deutschland, BRD",
    "FM": "Federated States of Micronesia",
    "GB": "Great Britain, Britain, Großbritannien, Grande-Bretagne, Gran Bretaña, Gran Bretagna, England, Scotland, Wales, Northern Ireland, "
    "United Kingdom of Great Britain and Northern Ireland",
    "HM": "Heard Island and McDonald Islands",
    "IE": "Republic of Ireland",
    "KP": "DPRK, Democratic People's Republic of Korea",
    "KR": "ROK, Republic of Korea",
    "LA": "Lao PDR, Lao People's Democratic Republic, Lao",
    "MF": "Saint Martin French part",
    "MK": "Macedonia, FYROM, Former Yugoslav Republic of Macedonia",
    "MM": "Burma, Myanmar",
    "NL": "Holland, The Netherlands",
    "PS": "Palestine, State of Palestine",
    "RU": "Russian Federation",
    "SA": "KSA",
    "SH": "Saint Helena Ascension and Tristan da Cunha",
    "SY": "Syrian Arab Republic",
    "SZ": "Swaziland",
    "TL": "East Timor",
    "TR": "Turkey",
    "TW": "Republic of China, Taiwan ROC, Taiwan Province of China",
    "US": "United States of America, America, Estados Unidos de America",
    "VA": "Holy See, Vatican",
    "VN": "Viet Nam",
}
# Left out of official names: "Federal Republic of Germany", "Iran (Islamic Republic of)".
_DESIGNATIONS = frozenset(
    {
        *(
            "the",
            "of",
            "republic",
            "federal",
            "kingdom",
            "state",
            "islamic",
            "democratic",
            "socialist",
        ),
        *(
            "united",
            "plurinational",
            "bolivarian",
            "commonwealth",
            "principality",
            "grand",
            "duchy",
        ),
        *("sultanate", "union", "people", "s", "peoples"),
    }
)
# Their designation is all that tells two countries apart.
_DESIGNATION_DECIDES = frozenset(
    {"korea", "congo", "china", "states", "guinea", "samoa", "sudan", "stmartin", "virginislands"}
)
_MINOR = frozenset({"the", "of", "and"})
_ABBREVIATED = {"saint": "st", "rep": "republic", "dem": "democratic", "fed": "federal"}
_FEWEST_LETTERS = 4
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


def regions_of(countries: pa.Array | pa.ChunkedArray) -> pa.StringArray:
    """Return the ISO 3166 codes, of two letters, of countries; null where the country is not clear.

    Args:
        countries: codes or names, in any language.
    """
    coded = readable(countries).dictionary_encode()
    codes = pa.array([region_of(text) for text in coded.dictionary.to_pylist()], pa.string())
    return codes.take(coded.indices)


def region_of(country: str) -> str | None:
    """Return the ISO 3166 code of one country, or None."""
    key = _key(country)
    if not key or key in PLACEHOLDER_WORDS:
        return None
    for names in (_usual_names, _official_names, _foreign_names):
        for form in _forms(country):
            if form in names():
                return names()[form]
    return None


def _key(text: str) -> str:
    """Return what is compared: letters and digits without accents and case."""
    plain = unicodedata.normalize("NFKD", text[:_MOST_CHARACTERS]).casefold()
    return _NOT_COMPARED.sub("", plain)


def _forms(text: str) -> Iterator[str]:
    """Yield what a text is looked up by: as it is, turned round, and without what stands beside the name."""
    yield _key(text)
    bare, _, beside = re.sub(r"[()\[\]]", ",", text[:_MOST_CHARACTERS]).partition(",")
    yield _plain_key(text)
    if beside.strip(" ,"):
        yield _plain_key(f"{beside} {bare}")  # Korea, Republic of; Samoa (American)
    designated = (text, bare) if beside.strip(" ,") else (text,)
    for name in designated:
        short = "".join(word for word in _words(name) if word not in _DESIGNATIONS)
        # Shorter ones would be taken for codes.
        if len(short) >= _FEWEST_LETTERS and short not in _DESIGNATION_DECIDES:
            yield short


def _plain_key(text: str) -> str:
    """Return a key without the words that some write and others leave out."""
    return "".join(word for word in _words(text) if word not in _MINOR)


def _words(text: str) -> list[str]:
    """Return the words of a text as they are compared."""
    words = (_key(word) for word in re.split(r"[\s\W]+", text[:_MOST_CHARACTERS]))
    return [_ABBREVIATED.get(word, word) for word in words]


@cache
def _usual_names() -> dict[str, str | None]:
    """Return codes and English names, which nearly all values are."""
    from babel.core import get_global

    names: dict[str, str | None] = {}
    codes = _names_in("en")
    for alias, now in get_global("territory_aliases").items():
        if alias.isalpha() and len(now) == 1 and now[0] in codes:
            names[_key(alias)] = now[0]
    names |= {_key(code): code for code in codes}
    pairs = [(name, code) for code, name in codes.items()]
    pairs += [(form, code) for code, forms in _OTHER_FORMS.items() for form in forms.split(", ")]
    names |= {_plain_key(name): code for name, code in pairs}
    return names | {_key(name): code for name, code in pairs}


@cache
def _official_names() -> dict[str, str | None]:
    """Return names in the languages that are official somewhere; those of the country itself go first."""
    spoken = _official_languages()
    languages = set().union(*spoken.values())
    own: dict[str, set[str]] = {}
    names: dict[str, set[str]] = {}
    for locale in _locales():
        language = locale.split("_")[0]
        if language in languages:
            for code, name in _names_in(locale).items():
                for form in _spellings(name, language):
                    names.setdefault(form, set()).add(code)
                    if language in spoken.get(code, ()):
                        own.setdefault(form, set()).add(code)
    return _only(names) | _only(own)


@cache
def _foreign_names() -> dict[str, str | None]:
    """Return names in all other languages of CLDR."""
    languages = set().union(*_official_languages().values())
    names: dict[str, set[str]] = {}
    for locale in _locales():
        if locale.split("_")[0] not in languages:
            for code, name in _names_in(locale).items():
                names.setdefault(_key(name), set()).add(code)
    return _only(names)


def _spellings(name: str, language: str) -> set[str]:
    if language != "de":
        return {_key(name)}
    return {_key(name), _key(name.translate(_UMLAUTS))}


def _locales() -> Iterator[str]:
    """Yield languages, and the scripts of those that have several; what regions say differently is left out."""
    from babel.localedata import locale_identifiers

    for locale in sorted(locale_identifiers()):
        _, *parts = locale.split("_")
        if not parts or (len(parts) == 1 and len(parts[0]) == 4):
            yield locale


def _only(candidates: dict[str, set[str]]) -> dict[str, str | None]:
    return {name: min(codes) if len(codes) == 1 else None for name, codes in candidates.items()}


@cache
def _official_languages() -> dict[str, set[str]]:
    """Return the languages in which each country's own name is official."""
    from babel.core import get_global

    return {
        code: {name.split("_")[0] for name, facts in languages.items() if facts["official_status"]}
        for code, languages in get_global("territory_languages").items()
    }


def _names_in(locale: str) -> dict[str, str]:
    """Return the names of countries in one language, by their codes."""
    from babel import localedata

    names = localedata.load(locale, merge_inherited=False).get("territories", {})
    # Babel keeps all that it has read: 150 MB for names of which some are needed.
    vars(localedata).get("_cache", {}).pop(locale, None)
    return {
        code: name
        for code, name in names.items()
        if len(code) == 2 and code.isalpha() and code not in _NO_COUNTRIES
    }
