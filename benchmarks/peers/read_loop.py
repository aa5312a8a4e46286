"""The script that anyone would write: a requests session, page after page, a JSON line per contact."""

from __future__ import annotations

import json
import sys

import requests

address = sys.argv[1]
session = requests.Session()
session.headers.update({"Authorization": "Bearer token", "Accept": "application/json"})
page = 1
while True:
    response = session.get(
        f"{address}/contacts", params={"order": "id", "per_page": 100, "page": page}, timeout=60
    )
    response.raise_for_status()
    content = response.json()
    for contact in content["data"]:
        print(json.dumps({"type": "RECORD", "stream": "contacts", "record": contact}))
    if page >= content["meta"]["last_page"]:
        break
    page += 1
