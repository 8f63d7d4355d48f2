"""The sandbox org's fixed credentials; made up, printed in documentation, worth nothing."""

CLIENT_ID = "sandbox-client-id"
CLIENT_SECRET = "sandbox-client-secret"  # noqa: S105 - a public constant of an emulated server
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - as above
USERNAME = "user0@sandbox.example"
PASSWORD = "sandbox-password"  # noqa: S105 - as above
MY_DOMAIN = "sandbox.my.salesforce.com"
