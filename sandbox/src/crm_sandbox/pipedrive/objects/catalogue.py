"""What deals are made of and move through: products, pipelines and stages."""

from crm_sandbox.pipedrive.objects.columns import (
    HISTORY,
    OWNER,
    VISIBLE_TO,
    person_card,
    v1_stamps,
)
from crm_sandbox.pipedrive.schema import Column, Entity

_CATEGORIES = (("1", "Hardware"), ("2", "Software"), ("3", "Services"))

PRODUCTS = Entity(
    "products",
    "product",
    (
        Column("id", "int", "i + 1", "ID"),
        Column("name", "varchar", "name", "Name", writable=True),
        Column(
            "code",
            "varchar",
            "CASE WHEN i % 7 = 6 THEN '' ELSE code END",
            "Product code",
            writable=True,
        ),
        Column(
            "description",
            "text",
            "CASE WHEN r2 % 3 = 0 THEN name || chr(10) || '👍' ELSE '' END",
            writable=True,
        ),
        Column("unit", "varchar", "CASE WHEN r3 % 2 = 0 THEN 'piece' END", writable=True),
        Column("tax", "double", "[0.0, 7.0, 19.0][1 + r4 % 3]", writable=True),
        Column(
            "category",
            "choice",
            "[NULL, '1', '2', '3'][1 + r5 % 4]",
            writable=True,
            options=_CATEGORIES,
        ),
        OWNER,
        *HISTORY,
        Column("is_linkable", "boolean", "true", writable=True),
        VISIBLE_TO,
        Column(
            "prices",
            "prices",
            # Most have one in the company's currency, some in another one before it, some in none but that.
            "list_transform(CASE WHEN i % 7 = 3 THEN ['GBP'] WHEN i % 3 = 0 THEN ['GBP', $money] "
            "ELSE [$money] END, lambda coin: {'product_id': i + 1, 'price': CASE WHEN coin = $money "
            "THEN price ELSE round(price * 0.8, 2) END, 'currency': coin, 'cost': round(price / 2, 2), "
            "'direct_cost': NULL, 'notes': ''})",
            "Unit prices",
            writable=True,
        ),
        Column("billing_frequency", "choice", "'one-time'", writable=True),
        Column("billing_frequency_cycles", "int", "NULL", writable=True),
    ),
    scope="products",
    fields_path="productFields",
    filters={"owner_id": "owner_id"},
    sorts=("id", "name", "add_time", "update_time"),
    period=("updated_since",),
    end="null",
    missing="Product not found",
    created=201,
    v1=(
        *((key, f"r.{key}") for key in ("id", "name", "code", "unit", "tax", "description")),
        ("active_flag", "NOT r.is_deleted"),
        ("selectable", "r.is_linkable"),
        ("visible_to", "r.visible_to::VARCHAR"),
        ("owner_id", person_card("u")),
        ("prices", "r.prices"),
        *v1_stamps(),
    ),
    v1_from="LEFT JOIN users u ON u.id = r.owner_id",
)

PIPELINES = Entity(
    "pipelines",
    "pipeline",
    (
        Column("id", "int", "id"),
        Column("name", "varchar", "name", writable=True),
        Column("order_nr", "int", "order_nr"),
        Column("is_deleted", "boolean", "false"),
        Column("deleted_at", "instant", "NULL", shown="never"),
        Column("is_deal_probability_enabled", "boolean", "true", writable=True),
        Column("add_time", "instant", "created"),
        Column("update_time", "instant", "touched"),
    ),
    period=(),
    end="missing",
    missing="Pipeline not found",
    v1=(
        *((key, f"r.{key}") for key in ("id", "name", "order_nr")),
        ("url_title", "r.name"),
        ("active", "NOT r.is_deleted"),
        ("deal_probability", "r.is_deal_probability_enabled"),
        *v1_stamps(),
        ("selected", "r.order_nr = 1"),
    ),
)

STAGES = Entity(
    "stages",
    "stage",
    (
        Column("id", "int", "id"),
        Column("order_nr", "int", "order_nr"),
        Column("name", "varchar", "name", writable=True),
        Column("is_deleted", "boolean", "false"),
        Column("deleted_at", "instant", "NULL", shown="never"),
        Column("deal_probability", "int", "probability", writable=True),
        Column("pipeline_id", "ref", "pipeline_id", writable=True),
        Column("is_deal_rot_enabled", "boolean", "order_nr % 2 = 0", writable=True),
        Column("days_to_rotten", "int", "CASE WHEN order_nr % 2 = 0 THEN 30 END", writable=True),
        Column("add_time", "instant", "created"),
        Column("update_time", "instant", "touched"),
    ),
    filters={"pipeline_id": "pipeline_id"},
    sorts=("id", "update_time", "add_time", "order_nr"),
    period=(),
    end="missing",
    missing="Stage not found",
    v1=(
        *(
            (key, f"r.{key}")
            for key in ("id", "order_nr", "name", "deal_probability", "pipeline_id")
        ),
        ("active_flag", "NOT r.is_deleted"),
        ("rotten_flag", "r.is_deal_rot_enabled"),
        ("rotten_days", "r.days_to_rotten"),
        *v1_stamps(),
        ("pipeline_name", "l.name"),
        ("pipeline_deal_probability", "l.is_deal_probability_enabled"),
    ),
    v1_from="LEFT JOIN pipelines l ON l.id = r.pipeline_id",
)
