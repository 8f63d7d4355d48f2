"""`python .ci/reference` writes the pages that are made from the code, and names those that changed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference import write

print("\n".join(f"wrote {page}" for page in write()) or "reference pages are current")
