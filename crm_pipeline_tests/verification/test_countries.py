"""Countries in any common form become ISO codes; what is not clear becomes null."""

import pyarrow as pa
import pytest

from crm_pipeline.verification import regions_of

FORMS = {
    "US": "US, us, USA, U.S., U.S.A., United States, United States of America, Estados Unidos, Vereinigte Staaten, 美国",
    "GB": "GB, UK, U.K., United Kingdom, Great Britain, England, Großbritannien, Grossbritannien, Royaume-Uni",
    "DE": "DE, DEU, Germany, GERMANY, Deutschland, Federal Republic of Germany, Allemagne, Alemania, Германия",
    "KR": "KR, Republic of Korea, South Korea, Korea (South), 대한민국",
    "KP": "North Korea, Democratic People's Republic of Korea",
    "TR": "Türkiye, Turkiye, TÜRKİYE, Turkey, Türkei",
    "CI": "Côte d'Ivoire, Cote d\u2019Ivoire, COTE D'IVOIRE, Ivory Coast",
    "CD": "Democratic Republic of the Congo, DR Congo",
    "CN": "China, People's Republic of China, 中国",
    "TW": "Taiwan, Republic of China",
    "IR": "Iran, Islamic Republic of Iran",
    "BO": "Bolivia, Bolivia (Plurinational State of)",
    "MD": "Moldova, Republic of Moldova",
    "NL": "Netherlands, The Netherlands, Holland, Nederland, Pays-Bas",
    "AT": "Austria, Österreich, Oesterreich, Autriche",
    "CH": "Switzerland, Schweiz, Suisse, Svizzera",
    "GE": "Georgia",
    "GR": "Greece, Ελλάδα, Griechenland",
    "EG": "Egypt, مصر",
    "IN": "India, भारत",
    "NE": "Niger",
    "NG": "Nigeria",
    "GN": "Guinea",
    "CZ": "Czechia, Czech Republic, Tschechien, Česko",
    "MK": "North Macedonia, Macedonia",
    "AG": "Antigua & Barbuda, Antigua and Barbuda",
    "VG": "British Virgin Islands",
    "VA": "Holy See (Vatican City State), Vatican",
    "DO": "Dominican Republic, Dominican Rep., República Dominicana",
    "RU": "Russia, Russian Federation, Россия",
}
WITH_COMMAS = {
    "Korea, Republic of": "KR",
    "Korea, Democratic People's Republic of": "KP",
    "Congo, The Democratic Republic of the": "CD",
    "Virgin Islands, U.S.": "VI",
    "Micronesia, Federated States of": "FM",
    "Tanzania, United Republic of": "TZ",
    "Taiwan, Province of China": "TW",
    "Netherlands, The": "NL",
    "Saint Helena, Ascension and Tristan da Cunha": "SH",
}
NO_COUNTRIES = {"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ"}
NOT_CLEAR = (
    "Unknown",
    "",
    "  ",
    "n/a",
    "none",
    "Atlantis",
    "Korea",
    "Europe",
    "EU",
    "ZZ",
    "\x00",
    "??",
    "x" * 10_000,
)


@pytest.mark.parametrize("code", FORMS)
def test_a_country_has_its_code(code: str) -> None:
    """Codes, names in several languages, with and without accents, case, punctuation and designations."""
    forms = FORMS[code].split(", ")
    assert set(regions_of(pa.array(forms)).to_pylist()) == {code}


def test_names_are_turned_round() -> None:
    """As ISO 3166 writes them, the designation behind a comma."""
    assert regions_of(pa.array(list(WITH_COMMAS))).to_pylist() == [*WITH_COMMAS.values()]


def test_what_is_not_clear_is_null() -> None:
    """Nothing is guessed: neither placeholders nor names that two countries have."""
    codes = regions_of(pa.chunked_array([[*NOT_CLEAR], [None, "FR"]])).to_pylist()
    assert codes == [*[None] * (len(NOT_CLEAR) + 1), "FR"]


def test_names_of_sixty_languages_agree_with_babel() -> None:
    """A name has the code of its country, or none where two have it; languages that are official somewhere go first."""
    from babel import Locale, localedata

    languages = [name for name in sorted(localedata.locale_identifiers()) if "_" not in name]
    texts, codes = [], []
    for language in languages[::5][:60]:
        for code, text in Locale(language).territories.items():
            if len(code) == 2 and code.isalpha() and code not in NO_COUNTRIES:
                texts.append(text)
                codes.append(code)
    found = regions_of(pa.array(texts)).to_pylist()
    wrong = [(t, f, c) for t, f, c in zip(texts, found, codes, strict=True) if f not in {c, None}]
    unclear = sum(code is None for code in found)
    assert len(wrong) < len(found) / 1_000, wrong
    assert unclear < len(found) / 100
