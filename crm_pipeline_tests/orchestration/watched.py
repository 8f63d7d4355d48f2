"""A pipeline and what its sensors and schedules do with it, one tick after the other."""

from contextlib import closing
from typing import Any

import dagster as dg
from typer.testing import CliRunner, Result

from crm_pipeline.cli.app import app
from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.instance import quick_events
from crm_pipeline.orchestration.resources import Workspace
from crm_pipeline.orchestration.schedules import requested
from crm_pipeline.stages.published import Publication, publish
from crm_pipeline.store.tables.published import open_published
from crm_pipeline_tests.harness import ENVIRON, Harness

Request = dg.RunRequest | dg.SkipReason


class Watched:
    """A harness and an instance."""

    def __init__(self, harness: Harness, instance: dg.DagsterInstance) -> None:
        self.harness = harness
        self.instance = instance
        self.crm = Workspace(harness.settings, clock=harness.clock)
        self.defs = build_defs(harness.settings, {"crm": self.crm})
        self._cursor: str | None = None

    def landed(self) -> None:
        """Land every object, without a run."""
        for obj in self.harness.settings.connection("demo").objects:
            self.harness.extract(obj.name)

    def edited(self, title: str) -> str:
        """Let time pass, change a contact, let time pass; return its id."""
        self.harness.advance()
        record = str(self.harness.org.rows("Contact")[0]["Id"])
        self.harness.org.edit("Contact", record, Title=title)
        self.harness.advance()
        return record

    def tick(self) -> Request:
        """Let the connection's sensor look."""
        sensor = self.defs.resolve_sensor_def("demo_changes")
        with dg.build_sensor_context(
            instance=self.instance, resources={"crm": self.crm}
        ) as context:
            return request_of(sensor.evaluate_tick(context))

    def due(self) -> Request:
        """Let the connection's schedule come round."""
        return requested(self.crm, self.harness.settings.connection("demo"), self.instance)

    def freshness_tick(self) -> dg.SensorResult:
        """Let the sensor of freshness look, as after the last time."""
        sensor = self.defs.resolve_sensor_def("freshness")
        with dg.build_sensor_context(
            instance=self.instance, resources={"crm": self.crm}, cursor=self._cursor
        ) as context:
            done = sensor.evaluate_tick(context)
        self._cursor = done.cursor
        return dg.SensorResult(
            run_requests=done.run_requests,
            skip_reason=None if done.run_requests else dg.SkipReason(done.skip_message),
            cursor=done.cursor,
            asset_events=done.asset_events,
        )

    def verdicts(self) -> dict[str, bool]:
        """Return what that sensor shows on assets now."""
        return shown(self.freshness_tick())

    def run(self, request: Request, *only: str) -> dg.ExecuteInProcessResult:
        """Do what was requested, or only the raw assets of some objects."""
        assert isinstance(request, dg.RunRequest), request
        job = self.defs.resolve_job_def(str(request.job_name))
        selection = [dg.AssetKey(["demo", "raw", name]) for name in only] or request.asset_selection
        with quick_events():
            return job.execute_in_process(
                asset_selection=list(selection) if selection else None,
                tags=dict(request.tags),
                instance=self.instance,
                raise_on_error=False,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )

    def publish(self) -> Publication:
        """Publish, without a run."""
        with self.crm.engine() as engine:
            return publish(
                self.crm.landing, self.crm.tables, engine, freshness=self.crm.freshness()
            )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(open_published(self.harness.settings.data)) as database:
            return database.execute(sql).fetchall()

    def command(self, *arguments: str) -> Result:
        """Run a command in this process; its clock is the machine's."""
        url = self.harness.settings.environ["CRM_DATABASE_URL"]
        environ = {**ENVIRON, "CRM_HOME": str(self.harness.settings.root), "CRM_DATABASE_URL": url}
        return CliRunner().invoke(app, [*arguments], env=environ)


def shown(result: dg.SensorResult) -> dict[str, bool]:
    """Return the checks that a sensor shows, by object."""
    events = [event for event in result.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    assert len(events) == len(result.asset_events)
    return {event.asset_key.path[-1]: event.passed for event in events}


def request_of(done: Any) -> Request:
    """Return what a tick requested, or why nothing. (Called directly, a sensor wants its resources as arguments.)"""
    [request] = done.run_requests or [dg.SkipReason(done.skip_message)]
    assert isinstance(request, Request)
    return request


def raw_objects(request: Request) -> set[str]:
    """Return the objects that a request reads; none for all."""
    assert isinstance(request, dg.RunRequest), request
    return {key.path[-1] for key in request.asset_selection or () if key.path[1] == "raw"}


def reason(request: Request) -> str:
    """Return why nothing is requested."""
    assert isinstance(request, dg.SkipReason), request
    return str(request.skip_message)
