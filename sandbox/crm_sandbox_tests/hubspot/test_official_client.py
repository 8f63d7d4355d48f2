"""The vendor's own Python client, unmodified: plain HTTP by its host setting, and TLS to the vendor's own
host name through the sandbox as a proxy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hubspot as vendor
import pytest
from hubspot.crm.associations.v4 import BatchInputPublicFetchAssociationsBatchRequest
from hubspot.crm.contacts import (
    ApiException,
    BatchInputSimplePublicObjectBatchInputForCreate,
    BatchReadInputSimplePublicObjectId,
    PublicObjectSearchRequest,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)

from crm_sandbox import SandboxServer
from crm_sandbox.clock import SandboxClock
from crm_sandbox.hubspot import credentials
from crm_sandbox_tests.conftest import NOW

pytestmark = pytest.mark.client("hubspot-api-client")


@pytest.fixture(scope="module", params=["plain", "tls"])
def client(request, authority) -> Iterator[Any]:
    own = authority if request.param == "tls" else None
    with SandboxServer(
        contacts=120, seed=7, now=NOW, clock=SandboxClock(NOW), authority=own, vendors=("hubspot",)
    ) as running:
        where: dict[str, Any] = {"host": f"{running.url}/hubspot"}
        if own is not None:
            where = {"proxy": running.url, "ssl_ca_cert": str(own.bundle)}
        made = vendor.Client.create(access_token=credentials.MAIN.token, **where)
        made.sandbox = running
        yield made


def truth(client) -> Any:
    return client.sandbox.emulations["hubspot"]


def test_get_all(client) -> None:
    """The client's own walk over the pages ends with every record."""
    found = client.crm.contacts.get_all(properties=["email"], properties_with_history=["city"])
    assert {one.id for one in found} == {row["id"] for row in truth(client).rows("contacts")}
    assert client.crm.deals.get_all()[0].properties["dealstage"]


def test_search(client) -> None:
    """Searches are decoded with their total."""
    email = next(row["email"] for row in truth(client).rows("contacts") if row["email"])
    wanted = {"propertyName": "email", "operator": "EQ", "value": email}
    search = PublicObjectSearchRequest(filter_groups=[{"filters": [wanted]}], limit=5)
    answer = client.crm.contacts.search_api.do_search(public_object_search_request=search)
    assert (answer.total, answer.results[0].properties["email"]) == (1, email)


def test_write_and_read(client) -> None:
    """A record is made, read, changed and archived."""
    api = client.crm.contacts.basic_api
    made = api.create(
        simple_public_object_input_for_create=SimplePublicObjectInputForCreate(
            properties={"email": "official@example.org", "lastname": "Client"}, associations=[]
        )
    )
    changed = SimplePublicObjectInput(properties={"city": "Bonn"})
    api.update(made.id, simple_public_object_input=changed)
    seen = api.get_by_id("official@example.org", id_property="email", properties=["city"])
    assert (seen.id, seen.properties["city"]) == (made.id, "Bonn")
    with pytest.raises(ApiException) as caught:
        api.create(
            simple_public_object_input_for_create=SimplePublicObjectInputForCreate(
                properties={"email": "official@example.org"}, associations=[]
            )
        )
    assert caught.value.status == 409
    api.archive(made.id)
    with pytest.raises(ApiException) as caught:
        api.get_by_id(made.id)
    assert caught.value.status == 404


def test_batches(client) -> None:
    """Batches are decoded, whole and partial."""
    ids = [row["id"] for row in truth(client).rows("contacts", limit=3)]
    wanted = BatchReadInputSimplePublicObjectId(
        inputs=[{"id": one} for one in [*ids, "5"]],
        properties=["email"],
        properties_with_history=[],
    )
    api = client.crm.contacts.batch_api
    answer = api.read(batch_read_input_simple_public_object_id=wanted)
    assert {one.id for one in answer.results} == set(ids)
    assert answer.num_errors == 1
    inputs = [{"properties": {"lastname": "B"}, "associations": []}]
    body = BatchInputSimplePublicObjectBatchInputForCreate(inputs=inputs)
    made = api.create(batch_input_simple_public_object_batch_input_for_create=body)
    assert made.status == "COMPLETE"
    api.archive(batch_input_simple_public_object_id={"inputs": [{"id": made.results[0].id}]})


def test_links(client) -> None:
    """Links are read in batches; ids are numbers although the client's model says text."""
    record = truth(client).rows("contacts", limit=1)[0]["id"]
    body = BatchInputPublicFetchAssociationsBatchRequest(inputs=[{"id": record}])
    answer = client.crm.associations.v4.batch_api.get_page(
        "contacts", "companies", batch_input_public_fetch_associations_batch_request=body
    )
    assert answer.results[0].to[0].association_types[0].type_id in {1, 279}


def test_metadata(client) -> None:
    """Properties, pipelines, owners and schemas are decoded into the client's models."""
    listed = client.crm.properties.core_api.get_all("contacts").results
    assert "email" in {one.name for one in listed}
    stages = client.crm.pipelines.pipelines_api.get_all("deals").results[0].stages
    assert stages[0].metadata["probability"] == "0.2"
    owners = client.crm.owners.owners_api.get_page(limit=100, archived=False).results
    assert owners[0].email == "user0@sandbox.example"
    assert (
        client.crm.schemas.core_api.get_all(archived=False).results[0].object_type_id == "2-3800001"
    )
    machines = client.crm.objects.basic_api.get_page("machines", limit=2).results
    assert machines[0].properties["serial_number"]


def test_tokens(client) -> None:
    """The client trades a refresh token and looks at what came."""
    api = client.oauth.tokens_api
    form = {
        "grant_type": "refresh_token",
        "refresh_token": credentials.MAIN.refresh_token,
        "client_id": credentials.CLIENT_ID,
        "client_secret": credentials.CLIENT_SECRET,
    }
    answer = api.create(**form)
    assert answer.expires_in == 1_800
    about = client.oauth.access_tokens_api.get(answer.access_token)
    assert about.hub_id == credentials.MAIN.hub_id
    with pytest.raises(vendor.oauth.ApiException) as caught:
        api.create(**(form | {"refresh_token": "nothing"}))
    assert caught.value.status == 400


def test_a_refused_token(client) -> None:
    """An unknown token raises the client's own exception with the vendor's body."""
    client.access_token, kept = "nobody", client.access_token
    try:
        with pytest.raises(ApiException) as caught:
            client.crm.contacts.basic_api.get_page()
    finally:
        client.access_token = kept
    assert caught.value.status == 401
    assert "INVALID_AUTHENTICATION" in caught.value.body
