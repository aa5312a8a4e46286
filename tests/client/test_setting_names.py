import pytest

from appcrm.setting_names import near_misses, unknown_names

KNOWN = {"api_url", "auth_token", "dry_run", "page_size", "max_rejects", "null_handling"}


@pytest.mark.parametrize(
    ("name", "meant"),
    [("dryrun", "dry_run"), ("dry-run", "dry_run"), ("page_sise", "page_size"), ("DRY_RUN", "dry_run")],
)
def test_an_unknown_setting_names_the_nearest(name, meant):
    [told] = unknown_names([name, "api_url"], KNOWN, "target-appcrm")
    assert told == f"{name} is not a setting of target-appcrm: did you mean {meant}?"


def test_a_setting_like_no_other_names_the_list():
    [told] = unknown_names(["xyzzy"], KNOWN, "tap-appcrm")
    assert "tap-appcrm --about" in told


def test_a_name_holds_no_control_character():
    [told] = unknown_names(["\x1b[31m" * 50], KNOWN, "tap-appcrm")
    assert told.isprintable()
    assert len(told) < 150


@pytest.mark.parametrize(
    "variable", ["TARGET_APPCRM_DRYRUN", "TARGET_APPCRM_DRY_RUNS", "TARGET_APPCRM_APIURL"]
)
def test_a_variable_that_all_but_names_a_setting_is_told(variable):
    [told] = near_misses([variable, "PATH"], KNOWN, "TARGET_APPCRM_")
    assert told.startswith(f"{variable} names no setting: did you mean TARGET_APPCRM_")


@pytest.mark.parametrize(
    "variable",
    [
        "TARGET_APPCRM_DRY_RUN",
        "TARGET_APPCRM_LOGLEVEL",
        "TARGET_APPCRM__STATE",
        "TARGET_APPCRM_OWNER",
        "DRYRUN",
    ],
)
def test_other_variables_are_left_alone(variable):
    assert list(near_misses([variable], KNOWN, "TARGET_APPCRM_")) == []
