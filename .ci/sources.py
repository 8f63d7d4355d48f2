"""Pages of the site that stand outside docs/, by their address on the site."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
ELSEWHERE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
    "changelog.md": "CHANGELOG.md",
    "LICENSE": "LICENSE",
    "llms.txt": "llms.txt",
    "crm-sandbox/index.md": "sandbox/README.md",
    "crm-sandbox/changelog.md": "sandbox/CHANGELOG.md",
    **{
        f"crm-sandbox/{path.name}": f"sandbox/docs/{path.name}"
        for path in sorted((ROOT / "sandbox" / "docs").glob("*.*"))
    },
}
