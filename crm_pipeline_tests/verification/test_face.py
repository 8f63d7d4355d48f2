"""The package's face: few names, all of them there, and nothing loaded before it is asked for."""

import subprocess
import sys

from crm_pipeline import verification


def test_exported_names_are_there() -> None:
    """What the face lists can be had, and its rules name the libraries with their versions."""
    assert all(getattr(verification, name) is not None for name in verification.__all__)
    assert "email-validator 2." in verification.EMAIL_RULES
    assert "phonenumberslite " in verification.PHONE_RULES


def test_lists_have_dates() -> None:
    """Each list and library says which version it is and since when it is here; one by its number when it was made."""
    dates = {entry.package: entry for entry in verification.list_dates()}
    assert len(dates) == 7
    assert all(entry.version and entry.installed_on for entry in dates.values())
    assert dates["publicsuffixlist"].released_on


def test_the_face_loads_nothing() -> None:
    """A start of the command line passes here: no library and no list is loaded for it."""
    heavy = "{'pyarrow', 'phonenumbers', 'babel', 'dns', 'email_validator', 'publicsuffixlist'}"
    code = f"import sys, crm_pipeline.verification; print(sorted({heavy} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
