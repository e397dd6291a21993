"""The cases app with one entry that is due each second."""

from __future__ import annotations

from shop_of_cases import app

app.conf.beat_schedule = {"stock": {"task": "shop_of_cases.success", "schedule": 1.0}}
