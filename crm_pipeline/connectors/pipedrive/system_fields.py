"""The system fields of Pipedrive's records with their types. Data only.

Sources: the response examples of https://developers.pipedrive.com/docs/api/v1. Their labels, their options
and all custom fields come from the vendor's metadata; see `describe`.
"""

from collections.abc import Mapping

# Each entry is `key:type`; a key without a type is text. Types are those of `field_types`.
_PARTY = "owner_id:user add_time:instant update_time:instant is_deleted:boolean visible_to:choice label_ids:choices"
_DEALS_OF = (
    "next_activity_id:activity last_activity_id:activity activities_count:count done_activities_count:count "
    "undone_activities_count:count files_count:count notes_count:count followers_count:count "
    "email_messages_count:count smart_bcc_email:counted_text"
)
_COUNTED = (
    "open_deals_count:count related_open_deals_count:count closed_deals_count:count "
    "related_closed_deals_count:count won_deals_count:count related_won_deals_count:count "
    "lost_deals_count:count related_lost_deals_count:count"
)
_MAILS = "last_incoming_mail_time:counted_instant last_outgoing_mail_time:counted_instant"

_TEXTS = {
    "deals": f"""
        id:id title creator_user_id:user owner_id:user person_id:person org_id:organization
        pipeline_id:pipeline stage_id:stage value:money currency add_time:instant update_time:instant
        stage_change_time:instant is_deleted:boolean is_archived:boolean archive_time:instant status:choice
        probability:double lost_reason visible_to:choice close_time:instant won_time:instant
        lost_time:instant local_won_date:date local_lost_date:date local_close_date:date
        expected_close_date:date label_ids:choices origin origin_id channel:choice channel_id source_lead_id:lead
        arr:money mrr:money acv:money {_DEALS_OF} {_MAILS} first_won_time:counted_instant
        products_count:count participants_count:count""",
    "persons": f"""
        id:id name first_name last_name org_id:organization emails:json phones:json {_PARTY}
        picture_id:integer im:json birthday:date job_title notes postal_address:address
        marketing_status:choice doi_status:choice {_DEALS_OF} {_COUNTED} {_MAILS}
        participant_open_deals_count:count participant_closed_deals_count:count""",
    "organizations": f"""
        id:id name {_PARTY} address:address website linkedin industry:choice annual_revenue:money
        employee_count:integer {_DEALS_OF} {_COUNTED} people_count:count""",
    "activities": """
        id:id subject type:choice owner_id:user creator_user_id:user is_deleted:boolean add_time:instant
        update_time:instant deal_id:deal lead_id:lead person_id:person org_id:organization
        project_id:integer due_date:date due_time:time duration:clock busy:boolean done:boolean
        marked_as_done_time:instant location:address participants:json attendees:json
        conference_meeting_client conference_meeting_url conference_meeting_id public_description
        priority:choice note""",
    "products": """
        id:id name code description unit tax:double category:choice is_linkable:boolean
        is_deleted:boolean visible_to:choice owner_id:user add_time:instant update_time:instant
        billing_frequency:choice billing_frequency_cycles:integer prices:json""",
    "leads": """
        id title owner_id:user creator_id:user label_ids:choices person_id:person
        organization_id:organization source_name origin origin_id channel:choice channel_id
        is_archived:boolean was_seen:boolean value:amount expected_close_date:date
        next_activity_id:activity add_time:instant update_time:instant visible_to:choice cc_email""",
    "notes": """
        id:id content active_flag:boolean user_id:user last_update_user_id:user lead_id:lead deal_id:deal
        person_id:person org_id:organization project_id:integer add_time:local update_time:local
        pinned_to_lead_flag:boolean pinned_to_deal_flag:boolean pinned_to_person_flag:boolean
        pinned_to_organization_flag:boolean pinned_to_project_flag:boolean deal:json person:json
        organization:json project:json user:json""",
    "pipelines": """
        id:id name order_nr:integer is_deleted:boolean is_deal_probability_enabled:boolean
        add_time:instant update_time:instant""",
    "stages": """
        id:id name order_nr:integer pipeline_id:pipeline is_deleted:boolean deal_probability:double
        is_deal_rot_enabled:boolean days_to_rotten:integer add_time:instant update_time:instant""",
    "deal_products": """
        id:id deal_id:deal product_id:product product_variation_id:integer name order_nr:integer
        quantity:double item_price:money discount:double discount_type tax:double tax_method sum:money
        currency comments is_enabled:boolean billing_frequency billing_frequency_cycles:integer
        billing_start_date:date add_time:instant update_time:instant""",
    "deal_changes": """
        id:id add_time:instant update_time:instant stage_id:stage creator_user_id:user stages:json
        changes:json""",
    "deal_participants": """
        id:id add_time:instant update_time:instant person_id:person participants:json""",
    "users": """
        id:id name email phone activated:boolean active_flag:boolean is_deleted:boolean is_you:boolean
        default_currency locale lang:integer timezone_name timezone_offset role_id:integer role_name
        teams:json icon_url
        last_login:local created:local modified:local has_created_company:boolean access:json""",
    "activityTypes": """
        id:id name key_string icon_key order_nr:integer color active_flag:boolean is_custom_flag:boolean
        add_time:local update_time:local""",
    "leadLabels": "id name color add_time:instant update_time:instant",
    "currencies": """
        id:id code name symbol decimal_points:integer active_flag:boolean is_custom_flag:boolean""",
}
SYSTEM: Mapping[str, Mapping[str, str]] = {
    name: {key: kind or "text" for key, _, kind in (word.partition(":") for word in text.split())}
    for name, text in _TEXTS.items()
}
# Names of v1 in the metadata, for fields that records have under another key.
ALIASES: Mapping[str, str] = {
    "label": "label_ids",
    "email": "emails",
    "phone": "phones",
    "ims": "im",
    "user_id": "owner_id",
}
