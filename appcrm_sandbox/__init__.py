"""A local AppCRM over HTTP, on SQLite: what docs/sandbox.md describes.

Where is what, from a request to its answer:

- `server`, `app`, `gateway`, `delivery`: the way of a request: token, limit (`limits`), faults (`faults`,
  `fault_rules`), log (`requestlog`), answer
- `routes`, `query`, `api`, `replies`: which call it is, what it asks for, and how an answer is wrapped
- `listing`, `search`, `filters`, `ordering`, `projection`: which records a page holds, and which columns
- `render`, `neighbours`, `lookups`, `field_lists`: how they are shown
- `writing`, `validate`, `names`, `linking`, `contact_lists`, `phone_numbers`, `email_addresses`, `folding`: what may be
  written, and what is equal to what
- `accounts`, `viewer`: users, tokens and rights
- `schema`, `custom_fields`, `store`, `seed`, `people`: the tables, the file, and what a new one is filled with
- `app_version`, `settings`: what differs by version, and the switches
- `control`, `mutations`, `merging`, `pruning`, `clock`: what happens to a CRM behind a client's back
- `pages`, `openapi`, `openapi_schemas`: what people and programs read about it
- `cli`, `running`, `background`, `testing`: the command, and the pytest plugin
"""
