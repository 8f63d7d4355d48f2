"""Versions of the rules that verdicts follow: they change with our own rules, with libraries and with lists.

A stage keeps the version beside each verdict and judges again what was judged by another one.
"""

from crm_pipeline.verification.mail_lists import EMAIL_PACKAGES, PHONE_PACKAGES, installed_version

# Raise one when code of this package judges an address or a number differently than before.
_OWN_EMAIL_RULES = 3
_OWN_PHONE_RULES = 4


def email_rules() -> str:
    """Return the version of the rules for e-mail addresses."""
    return _version("emails", _OWN_EMAIL_RULES, EMAIL_PACKAGES)


def phone_rules() -> str:
    """Return the version of the rules for telephone numbers."""
    return _version("phones", _OWN_PHONE_RULES, PHONE_PACKAGES)


def _version(kind: str, own: int, packages: tuple[str, ...]) -> str:
    versions = (f"{name} {installed_version(name)}" for name in packages)
    return "; ".join([f"{kind} {own}", *versions])
