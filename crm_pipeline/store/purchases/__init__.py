"""What was bought from providers, and the budgets that it counts against."""

from crm_pipeline.store.purchases.ledger import (
    Answer,
    Budget,
    Order,
    PurchaseLedger,
    Reservation,
    Settlement,
    Spending,
)

__all__ = [
    "Answer",
    "Budget",
    "Order",
    "PurchaseLedger",
    "Reservation",
    "Settlement",
    "Spending",
]
