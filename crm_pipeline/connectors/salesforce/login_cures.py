"""The cures of refused logins by Salesforce's error: what to change in Setup, what to run here.

The errors are those of Salesforce Help ("OAuth 2.0 Authorization Errors" and the page of each flow) and of other
clients' issues. Descriptions are matched by a few words, as their wording varies.
"""

from dataclasses import dataclass

from crm_pipeline.connectors.oauth.profile import CODE, REFRESH, Refused
from crm_pipeline.settings import Connection

CREDENTIALS = "client_credentials"
ASSERTION = "urn:ietf:params:oauth:grant-type:jwt-bearer"

# Beyond this skew a wrong clock is the most likely reason.
_SKEW_S = 60.0
_APP = "Setup, External Client App Manager (or Manage Connected Apps), the app"


@dataclass(frozen=True)
class Case:
    """A refusal and its cure; an empty `grant`, `code` or `words` fits any.

    Attributes:
        grant: the flow.
        code: Salesforce's error code.
        words: a part of its description.
        cure: what to do; names in braces are the connection and its variables.
    """

    grant: str
    code: str
    words: str
    cure: str

    def fits(self, grant: str, code: str, description: str) -> bool:
        """Return whether a refusal matches."""
        return self.grant in ("", grant) and self.code in ("", code) and self.words in description


# The first match counts.
_CASES = (
    Case(
        ASSERTION,
        "invalid_grant",
        "approved this consumer",
        f"Let the user in: {_APP}, Policies: set Permitted Users to 'Admin approved users are "
        "pre-authorized' and add a profile or a permission set of the user (one that is not bound to "
        "the licence Salesforce API Integration, which cannot hold apps). Check the user name in "
        "{username} as well.",
    ),
    Case(
        ASSERTION,
        "invalid_grant",
        "audience",
        "Set 'audience' under connections.{name}.auth to the address of the login server: the org's My "
        "Domain, https://login.salesforce.com, or https://test.salesforce.com for a sandbox.",
    ),
    Case(
        ASSERTION,
        "invalid_grant",
        "invalid assertion",
        "The signature does not fit: upload the certificate that belongs to the key in {private_key} "
        f"({_APP}, OAuth settings, Enable JWT Bearer Flow), and check that {{client_id}} holds the "
        "consumer key of this very app.",
    ),
    Case(
        ASSERTION,
        "invalid_grant",
        "expired",
        "Salesforce takes an assertion for about three minutes: set this machine's clock right (NTP).",
    ),
    Case(
        CODE,
        "invalid_grant",
        "expired",
        "A code works once and for 15 minutes: run `crm-pipeline login {name}` again and finish it in "
        "one go.",
    ),
    Case(
        CODE,
        "invalid_grant",
        "code",
        "A code works once, and only for the login that asked for it: run `crm-pipeline login {name}` "
        "again.",
    ),
    Case(
        "",
        "",
        "redirect_uri",
        f"Register the callback address exactly as it was printed: {_APP}, OAuth settings, Callback "
        "URL. Changes take up to ten minutes.",
    ),
    Case(
        "",
        "",
        "ip restricted",
        f"This machine's address is outside of what the user may log in from: {_APP}, Policies, IP "
        "Relaxation, or Login IP Ranges of the user's profile.",
    ),
    Case(
        "",
        "",
        "not admin approved",
        f"Add a profile or a permission set of the user to the app: {_APP}, Policies.",
    ),
    Case(
        CREDENTIALS,
        "",
        "client credentials user",
        f"Name the user that the app runs as: {_APP}, Policies, Enable Client Credentials Flow, Run As.",
    ),
    Case(
        CREDENTIALS,
        "invalid_grant",
        "",
        f"Set login_url to the org's My Domain, and name the user that the app runs as ({_APP}, "
        "Policies, Enable Client Credentials Flow, Run As).",
    ),
    Case(
        REFRESH,
        "invalid_grant",
        "",
        "The refresh token is expired or revoked (idle for 30 days, rotated elsewhere, pushed out by "
        "later logins of the same user, or withdrawn: Setup, Connected Apps OAuth Usage): run "
        "`crm-pipeline login {name}`, or authorize the app again and store the new token in "
        "{refresh_token}.",
    ),
    Case(
        "",
        "invalid_client_id",
        "",
        "Check {client_id}: it must hold the app's consumer key, and login_url must be this app's org. "
        "A new app takes up to ten minutes.",
    ),
    Case(
        "",
        "invalid_client",
        "",
        "Check {client_secret}: it must hold the app's consumer secret.",
    ),
    Case(
        "",
        "app_not_found",
        "",
        "Set login_url (and 'audience', if you set it) to the My Domain of the org that has the app.",
    ),
    Case(
        "",
        "unsupported_grant_type",
        "",
        f"Allow this flow: {_APP}, OAuth settings, Flow Enablement.",
    ),
    Case(
        "", "invalid_scope", "", f"Add the scopes of docs/connections.md: {_APP}, OAuth settings."
    ),
    Case(
        "",
        "invalid_app_access",
        "",
        f"Add a profile or a permission set of the user to the app: {_APP}, Policies.",
    ),
    Case(
        "",
        "inactive_user",
        "",
        "Activate or unfreeze the user that logs in: Setup, Users; then run "
        "`crm-pipeline check {name}`.",
    ),
    Case("", "inactive_org", "", "The org is locked, closed or expired: ask its owner."),
    Case(
        "",
        "access_denied",
        "",
        "Run `crm-pipeline login {name}` again and choose Allow, as the user that the pipeline shall "
        "read as.",
    ),
    Case(
        "",
        "",
        "rate exceeded",
        "Too many logins of this user within an hour: wait, then run again.",
    ),
)


def cure(refused: Refused) -> str:
    """Return what to do about a refusal."""
    words = refused.description.lower()
    text = next(
        (case.cure for case in _CASES if case.fits(refused.grant, refused.code, words)),
        "Check login_url and the app's OAuth settings.",
    )
    if refused.grant == ASSERTION and abs(refused.skew_s) > _SKEW_S:
        direction = "ahead of" if refused.skew_s > 0 else "behind"
        text = (
            f"This machine's clock is {abs(refused.skew_s):,.0f} s {direction} Salesforce's, which makes "
            f"assertions invalid: set it right (NTP). {text}"
        )
    return text.format(name=refused.connection.name, **_variables(refused.connection))


def _variables(connection: Connection) -> dict[str, str]:
    """Return the name, or a description, of each variable that a cure may name."""
    named = connection.auth.variables
    descriptions = {
        "client_id": "the variable with the consumer key",
        "client_secret": "the variable with the consumer secret",
        "username": "the variable with the user name",
        "refresh_token": "the variable that 'refresh_token_env' names",
    }
    key = named.get("private_key") or named.get("private_key_file") or "the key's variable"
    return {**descriptions, **named, "private_key": key}
