"""How to reach a running sandbox, as lines that the command line can print."""

from crm_sandbox.server import SandboxServer


def describe_access(sandbox: SandboxServer) -> list[tuple[str, str]]:
    """Return labels and values: the address, every vendor's access, the admin API."""
    lines = [("Address", sandbox.url)]
    for vendor in sandbox.vendors.values():
        lines += vendor.access(sandbox.url)
    if sandbox.authority is not None:
        lines += [
            ("TLS address", sandbox.address("https")),
            ("CA bundle", str(sandbox.authority.bundle)),
            ("Proxy", f"HTTPS_PROXY={sandbox.url} REQUESTS_CA_BUNDLE={sandbox.authority.bundle}"),
        ]
    return [*lines, ("Admin", f"{sandbox.url}/_admin")]
