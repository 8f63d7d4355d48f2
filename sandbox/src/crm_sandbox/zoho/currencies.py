"""The currencies of one org and their rates, as `org/currencies` shows them.

A rate is what one unit of the base currency is worth in the other one. Source:
https://www.zoho.com/crm/developer/docs/api/v8/get-currencies-data.html.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from crm_sandbox.zoho.errors import ZohoError
from crm_sandbox.zoho.ids import IdScheme

# Worth of a US dollar; the currencies that records of the world carry.
_FOR_A_DOLLAR = {"USD": 1.0, "EUR": 0.92, "GBP": 0.79, "JPY": 149.5, "BRL": 5.4, "PLN": 3.95}
_SHOWN = {
    "USD": ("US Dollar", "$"),
    "EUR": ("Euro", "€"),
    "GBP": ("British Pound", "£"),
    "JPY": ("Japanese Yen", "¥"),
    "BRL": ("Brazilian Real", "R$"),
    "PLN": ("Polish Zloty", "zł"),
}
_SET_UP = "2019-11-08T14:24:56+00:00"


class Currencies:
    """What an administrator has set up.

    Args:
        base: ISO code of the org's own currency.
        ids: makes their ids.
    """

    def __init__(self, base: str, ids: IdScheme) -> None:
        self.base = base
        self.is_enabled = True
        self._ids = ids
        own = _FOR_A_DOLLAR[base]
        self._rates = {code: rate / own for code, rate in _FOR_A_DOLLAR.items()}
        self._changed: dict[str, str] = {}

    @property
    def rates(self) -> dict[str, float]:
        """The rates of the moment by ISO code; nine decimals, as they are shown."""
        return {code: round(rate, 9) for code, rate in self._rates.items()}

    def change(self, rates: Mapping[str, float], now: datetime) -> None:
        """Change rates, by ISO code.

        Raises:
            ValueError: the org has no such currency, or it is the base.
        """
        for code, rate in rates.items():
            if code not in self._rates or code == self.base:
                known = ", ".join(one for one in self._rates if one != self.base)
                raise ValueError(f"no rate of '{code}' to change; known: {known}")
            self._rates[code] = rate
            self._changed[code] = now.strftime("%Y-%m-%dT%H:%M:%S+00:00")

    def listed(self) -> list[dict[str, Any]]:
        """Return all of them as the API shows them.

        Raises:
            ZohoError: `CURRENCIES_NOT_ENABLED`, where the org has but one.
        """
        if not self.is_enabled:
            raise ZohoError(403, "CURRENCIES_NOT_ENABLED", "Multi currency is not enabled")
        return [self._one(code, rate) for code, rate in self._rates.items()]

    def _one(self, code: str, rate: float) -> dict[str, Any]:
        name, symbol = _SHOWN[code]
        return {
            "symbol": symbol,
            "iso_code": code,
            "name": f"{name} - {code}",
            "exchange_rate": f"{rate:.9f}",
            "is_base": code == self.base,
            "is_active": True,
            "prefix_symbol": True,
            "created_time": _SET_UP,
            "modified_time": self._changed.get(code, _SET_UP),
            "created_by": None,
            "modified_by": None,
            "format": {
                "decimal_separator": "Period",
                "thousand_separator": "Comma",
                "decimal_places": "2",
            },
            "id": self._ids.setting("currency", code),
        }
