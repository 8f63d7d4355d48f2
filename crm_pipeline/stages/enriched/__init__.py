"""Whom it is worth buying facts about, and what was bought, apart from what the CRMs say."""

from crm_pipeline.stages.enriched.build import Enriched, enrich_tables
from crm_pipeline.stages.enriched.buying import Bought, Candidate, Shop, buy, shop_of, subject_hash
from crm_pipeline.stages.enriched.candidates import candidates
from crm_pipeline.stages.enriched.outlook import Outlook, outlook

__all__ = [
    "Bought",
    "Candidate",
    "Enriched",
    "Outlook",
    "Shop",
    "buy",
    "candidates",
    "enrich_tables",
    "outlook",
    "shop_of",
    "subject_hash",
]
