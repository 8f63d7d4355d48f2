"""The same as `crm-sandbox`: `python -m crm_sandbox serve`."""

import sys

from crm_sandbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
