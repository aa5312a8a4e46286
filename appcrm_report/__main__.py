"""``python -m appcrm_report``."""

from appcrm_report.cli import run_command

if __name__ == "__main__":
    run_command()
