"""What Dagster loads: `dg dev`, `dagster dev`, `crm-pipeline up` and workspace.yaml name this module.

The executor is for what is materialised by hand; jobs have their own. A step in a process of its own would cost four seconds.
"""

import dagster as dg

from crm_pipeline.orchestration.build import build_defs
from crm_pipeline.orchestration.narrowing import job_of_this_process

defs = dg.Definitions.merge(
    build_defs(job=job_of_this_process()), dg.Definitions(executor=dg.in_process_executor)
)
