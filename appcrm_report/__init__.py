"""appcrm-report: what a run did or would do, as a page, as Markdown, or undone."""
