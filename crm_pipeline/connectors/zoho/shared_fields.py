"""Fields that records of most modules have, as tables of data."""

from crm_pipeline.model.mapping import FieldMap, points_to, same

RECORD = same("id=source_id Created_Time=created_at Modified_Time=modified_at")
OWNED = (*RECORD, points_to("Owner", "owner_source_id", "Users"))
MADE = points_to("Created_By", "created_by_source_id", "Users")
ACTIVE = same("Last_Activity_Time=last_activity_on Last_Activity_Time=last_activity_at")
# Fields of deleted records; permanently deleted ones have no name.
NAME_OF_DELETED = "display_name"
OF_DELETED = (NAME_OF_DELETED, "type", "deleted_by")
CURRENCY = FieldMap("Currency", "currency")
