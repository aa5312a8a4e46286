"""tap-appcrm: AppCRM contacts as Singer messages."""
