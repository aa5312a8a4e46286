"""The script that anyone would write: Singer lines in, a requests session, one contact at a time.

``create`` posts each record; ``upsert`` looks each one up by its e-mail first and updates what it finds.
"""

from __future__ import annotations

import json
import sys

import requests

address, kind = sys.argv[1], sys.argv[2]
session = requests.Session()
session.headers.update({"Authorization": "Bearer token", "Accept": "application/json"})
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] != "RECORD":
        continue
    record = message["record"]
    found = []
    if kind == "upsert":
        query = {"q": record["email"], "search_fields": "email:="}
        response = session.get(f"{address}/contacts/search", params=query, timeout=60)
        response.raise_for_status()
        found = response.json()
    if found:
        response = session.put(f"{address}/contacts/{found[0]['id']}", json=record, timeout=60)
    else:
        response = session.post(f"{address}/contacts", json=record, timeout=60)
    response.raise_for_status()
    response.json()["id"]
