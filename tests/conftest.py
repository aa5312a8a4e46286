"""What every test shares."""

from hypothesis import HealthCheck, settings

# A test never asserts time, and neither may the tool that draws its inputs: on a busy machine both of these fail.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
