"""The admin API below `/_admin/`: faults, journal, pace, clock; the rest goes to the vendors."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from crm_sandbox.http import Request, Response, json_response
from crm_sandbox.state import SandboxState


class AdminHandler:
    """Answer admin requests with JSON; mistakes answer 400 or 404 with a sentence.

    Args:
        sandbox: what is administered.
    """

    def __init__(self, sandbox: SandboxState) -> None:
        self._sandbox = sandbox

    def handle(self, request: Request) -> Response:
        """Answer one admin request."""
        path = request.path.removeprefix("/_admin").strip("/")
        head, _, rest = path.partition("/")
        handlers = {"": self._overview, "faults": self._faults, "journal": self._journal}
        handlers |= {"clock": self._clock, "pace": self._pace, "reset": self._reset}
        try:
            if head in handlers and not rest:
                return json_response(handlers[head](request))
            if head in self._sandbox.emulations:
                below = replace(request, path=f"/{rest}")
                return self._sandbox.emulations[head].administer(below)
        except KeyError as problem:
            return json_response({"error": str(problem.args[0])}, 404)
        except (ValueError, TypeError) as problem:
            return json_response({"error": str(problem)}, 400)
        known = ", ".join([*(name for name in handlers if name), *self._sandbox.emulations])
        return json_response({"error": f"unknown admin address '{path}'; known: {known}"}, 404)

    def _overview(self, _: Request) -> dict[str, Any]:
        world = self._sandbox.world
        return {
            "url": self._sandbox.url,
            "vendors": list(self._sandbox.emulations),
            "seed": world.seed,
            "contacts": world.contacts,
            "now": self._sandbox.clock.now().isoformat(),
            "requests": self._sandbox.journal.count(),
        }

    def _reset(self, request: Request) -> dict[str, Any]:
        if request.method != "POST":
            raise ValueError("the world goes back to its start with a POST")
        self._sandbox.reset()
        return self._overview(request)

    def _faults(self, request: Request) -> Any:
        if request.method == "DELETE":
            self._sandbox.faults.clear()
        elif request.method == "POST":
            order = dict(request.json() or {})
            self._sandbox.faults.order(order.pop("kind", ""), **order)
        return self._sandbox.faults.listed()

    def _journal(self, request: Request) -> Any:
        journal = self._sandbox.journal
        if request.method == "DELETE":
            journal.clear()
        query = request.query
        filters: dict[str, Any] = {
            k: v for k, v in query.items() if k in {"vendor", "method", "path"}
        }
        if "status" in query:
            filters["status"] = int(query["status"])
        return {"count": journal.count(), "entries": journal.as_rows(**filters)}

    def _pace(self, request: Request) -> dict[str, Any]:
        if request.method == "POST":
            self._sandbox.pace.set(request.json() or {})
        return self._sandbox.pace.shown()

    def _clock(self, request: Request) -> dict[str, Any]:
        clock = self._sandbox.clock
        if request.method == "POST":
            order = request.json() or {}
            if "fixed" in order:
                clock.stand_at(datetime.fromisoformat(order["fixed"]))
            elif "offset" in order:
                clock.shift(float(order["offset"]))
            elif "advance" in order:
                clock.advance(float(order["advance"]))
            else:
                raise ValueError("the clock takes 'fixed', 'offset' or 'advance'")
        return {"now": clock.now().isoformat()}
