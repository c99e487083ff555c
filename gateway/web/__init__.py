"""The auditor's pages: read-only, in a process and on a port of their own. Start at `site.Site`."""
