"""What a read remembers."""

from tap_appcrm.replication.read_context import MOMENTS_REMEMBERED, RecentVersions


def test_versions_of_late_are_known_and_those_of_a_million_moments_take_no_more_room():
    versions = RecentVersions()
    assert all(versions.add(number, f"{number:07}") for number in range(5 * MOMENTS_REMEMBERED))
    assert len(versions) <= MOMENTS_REMEMBERED
    newest = range(5 * MOMENTS_REMEMBERED - MOMENTS_REMEMBERED // 2, 5 * MOMENTS_REMEMBERED)
    assert not any(versions.add(number, f"{number:07}") for number in newest)
