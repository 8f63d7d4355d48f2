import textwrap
from pathlib import Path

from crm_pipeline.configuration import load_settings
from crm_pipeline.settings import Settings

CONNECTIONS = """
connections:
  acme:
    vendor: salesforce
    login_url: http://127.0.0.1:9/salesforce
    sandbox: true
    auth:
      kind: client_credentials
      client_id_env: ACME_CLIENT_ID
      client_secret_env: ACME_CLIENT_SECRET
    objects: [Account, Contact, OpportunityStage, Invoice__c]
    start: 2026-01
    cadence: "5 * * * *"
  other:
    vendor: salesforce
    login_url: https://other.my.salesforce.com
    auth:
      kind: client_credentials
      client_id_env: OTHER_CLIENT_ID
      client_secret_env: OTHER_CLIENT_SECRET
    objects: [Lead]
    start: 2026-06
"""


def make_settings(
    root: Path, environ: dict[str, str] | None = None, text: str = CONNECTIONS
) -> Settings:
    root.mkdir(exist_ok=True)
    (root / "connections.yaml").write_text(textwrap.dedent(text))
    return load_settings(root, environ or {})
