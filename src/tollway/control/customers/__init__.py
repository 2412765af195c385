"""Customers, the end users of callers: `/customer/*` and `/end_user/*`."""
