import pytest
from crm_pipeline_tests.connectors.zoho.conftest import *


@pytest.mark.parametrize("route", ["records", "coql", "bulk"])
def test_x(scene, route):
    with scene.account() as a:
        print(a.who())
        print([o.name for o in a.objects()])
        s = a.describe("Contacts")
        print(len(s.names), s.names)
        for f in a.check().findings:
            print(f)
    e = scene.extract("Contacts", route=route)
    print(
        e.route,
        e.reason,
        e.read,
        e.deleted,
        e.calls,
        e.planned_calls,
        e.cost,
        e.planned_cost,
        e.vendor_count,
        scene.twin.count("Contacts"),
    )
