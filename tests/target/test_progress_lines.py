"""What is told while a run goes on."""

from __future__ import annotations

import itertools

from target_appcrm.report.progress import Progress, progress_line


def test_a_line_says_how_far_it_is_at_what_pace_how_long_it_takes_and_what_it_waits_for():
    line = progress_line(read=990, done=90, requests=90, seconds=60, waits_seconds=42)
    assert line == (
        "90 of 990 records that came in so far are done; 90 requests a minute; about 10 min left for these; "
        "waiting 42 s for the CRM's rate limit"
    )


def test_nothing_is_guessed_before_anything_is_done():
    assert progress_line(read=1, done=0, requests=0, seconds=0, waits_seconds=0) == (
        "0 of 1 record that came in so far are done; 0 requests a minute"
    )


def test_a_line_comes_every_half_minute():
    told, clock = [], itertools.count(0, 10)
    progress = Progress(told.append, lambda: float(next(clock)))
    for _ in range(12):
        progress.look(read=2, done=1, requests=1, waits_seconds=0)
    assert len(told) == 4
