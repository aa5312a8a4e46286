"""target-appcrm: Singer records into AppCRM contacts."""
