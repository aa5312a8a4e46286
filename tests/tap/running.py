"""Runs the tap within this process and reads what it wrote."""

import copy
import io
import json
from contextlib import redirect_stdout

from tap_appcrm.tap import TapAppcrm


class Output:
    """Everything that one run wrote to standard output."""

    def __init__(self, text, error=None):
        self.messages = [json.loads(line) for line in text.splitlines()]
        self.error = error

    def of_type(self, kind, stream=None):
        return [m for m in self.messages if m["type"] == kind and stream in (None, m.get("stream"))]

    def records(self, stream="contacts"):
        return [message["record"] for message in self.of_type("RECORD", stream)]

    def ids(self, stream="contacts"):
        return [record["id" if stream == "contacts" else "contact_id"] for record in self.records(stream)]

    @property
    def state(self):
        """The last STATE, or nothing."""
        states = self.of_type("STATE")
        return states[-1]["value"] if states else {}


def config_of(sandbox, **given):
    return {"api_url": sandbox.url, "auth_token": sandbox.token, "max_retry_wait": 0, **given}


def discover(config):
    return TapAppcrm(config=copy.deepcopy(config)).catalog_dict


def choose(catalog, *streams, method=None, only=None):
    """Select streams of a catalog, and of their properties only some."""
    catalog = copy.deepcopy(catalog)
    for entry in catalog["streams"]:
        for item in entry["metadata"]:
            if not item["breadcrumb"]:
                item["metadata"]["selected"] = entry["tap_stream_id"] in streams
            elif only is not None:
                item["metadata"]["selected"] = item["breadcrumb"][-1] in only
        if method:
            entry["replication_method"] = method
    return catalog


def run(config, *, catalog=None, state=None, fails=()):
    """Run the tap; an error of the kinds in `fails` is kept beside the output."""
    return written_by(
        lambda: TapAppcrm(
            config=copy.deepcopy(config), catalog=copy.deepcopy(catalog), state=copy.deepcopy(state)
        ),
        fails=fails,
    )


def written_by(make_tap, *, fails=(), command=False):
    """Run the tap that a call makes, and return what it wrote."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    error = None
    with redirect_stdout(out):
        try:
            tap = make_tap()
            tap.run() if command else tap.sync_all()
        except fails as raised:
            error = raised
        out.flush()
    out.seek(0)
    return Output(out.read(), error)
