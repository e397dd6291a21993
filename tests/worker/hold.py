"""Sends messages that are due much later: `python hold.py NUMBER`; prints their ids."""

from __future__ import annotations

import sys

import shop_of_cases as shop

for _ in range(int(sys.argv[1])):
    print(shop.success.apply_async(countdown=3600).id)
