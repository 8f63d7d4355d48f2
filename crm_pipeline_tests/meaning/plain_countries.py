"""Countries of records, looked up one by one in Babel's names."""

from functools import cache

from babel import Locale
from babel.core import get_global

_LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "tr", "uk", "ja")
"""Those in which the sandbox's people may write; in another one a name is not found."""
_CODE = 2
_FORMER = {"turkey": "TR"}  # CLDR has its new name only


@cache
def region_of(country: str) -> str | None:
    """Return the ISO 3166 code of two letters of a country; None where it is none."""
    text = country.strip().casefold()
    for language in _LANGUAGES:
        for code, name in Locale(language).territories.items():
            if len(code) == _CODE and text in {code.casefold(), name.casefold()}:
                return str(code)
    # "UK", "USA", "DEU".
    [region] = get_global("territory_aliases").get(country.strip().upper(), [None])
    return region or _FORMER.get(text)
