"""Followers of a record, and its permitted users.

Source: https://developers.pipedrive.com/docs/api/v1/Deals#getDealFollowers
"""

from collections.abc import Iterator

from crm_sandbox.http import Response, is_number, json_response
from crm_sandbox.pipedrive.errors import ApiError, invalid
from crm_sandbox.pipedrive.objects import ENTITIES
from crm_sandbox.pipedrive.records import found
from crm_sandbox.pipedrive.route import Call, Handler, Route, ok, reading, writing
from crm_sandbox.pipedrive.schema import Entity

_OF = "FROM followers WHERE entity = ? AND record = ?"


def _list(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record = found(call.company, entity, call.parts["id"], call.sight)
        sql = f"SELECT user_id, add_time {_OF} ORDER BY add_time, user_id"
        rows = [
            {"user_id": row["user_id"], "add_time": f"{row['add_time']:%Y-%m-%dT%H:%M:%SZ}"}
            for row in call.company.tables.rows(sql, [entity.name, record])
        ]
        paging = {"next_cursor": None}
        return json_response({"success": True, "data": rows, "additional_data": paging})

    return answer


def _add(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        company = call.company
        record, user = _named(call, entity), call.body().get("user_id")
        if not isinstance(user, int) or not company.store.row(ENTITIES["users"], user):
            raise invalid("user_id: user_id is not a user")
        now = company.clock.stamp()
        row = {"entity": entity.name, "record": record, "user_id": user, "add_time": now}
        if not company.tables.value(
            f"SELECT count(*) {_OF} AND user_id = ?", [entity.name, record, user]
        ):
            company.tables.insert("followers", [row])
        return ok({"user_id": user, "add_time": f"{now:%Y-%m-%dT%H:%M:%SZ}"}, 201)

    return answer


def _remove(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        record, user = _named(call, entity), call.parts["user"]
        where = [entity.name, record, int(user) if is_number(user) else -1]
        with call.company.tables.writing() as cursor:
            gone = cursor.execute(
                f"DELETE {_OF} AND user_id = ? RETURNING user_id", where
            ).fetchall()
        if not gone:
            raise ApiError(404, "Follower not found", "ERR_NOT_FOUND")
        return ok({"user_id": where[2]})

    return answer


def _named(call: Call, entity: Entity) -> int:
    return found(call.company, entity, call.parts["id"], call.sight, alive=True)


def _permitted(entity: Entity) -> Handler:
    def answer(call: Call) -> Response:
        row = call.company.store.row(entity, _named(call, entity))
        assert row is not None
        users = [one["id"] for one in call.company.tables.rows("SELECT id FROM users ORDER BY id")]
        if row["visible_to"] < 3:
            users = [user for user in users if user in {call.company.admin, row["owner_id"]}]
        return ok(users)

    return answer


def _routes() -> Iterator[Route]:
    for name in ("deals", "persons", "organizations", "products"):
        entity = ENTITIES[name]
        path = f"/api/v2/{name}/{{id}}/followers"
        yield Route("GET", path, 10, reading(entity.scope), _list(entity))
        yield Route("POST", path, 5, writing(entity.scope), _add(entity))
        yield Route("DELETE", f"{path}/{{user}}", 3, writing(entity.scope), _remove(entity))
        allowed = f"/v1/{name}/{{id}}/permittedUsers"
        yield Route("GET", allowed, 10, reading(entity.scope), _permitted(entity))


ROUTES = tuple(_routes())
