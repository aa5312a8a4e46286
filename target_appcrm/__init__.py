"""Singer target that applies every change to AppCRM once, in as few requests as can be."""
