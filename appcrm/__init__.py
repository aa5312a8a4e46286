"""The AppCRM contacts API: one client for tap and target, without Singer."""
