"""A witness that somebody else can run: a customer, or an auditor, who wants to have seen each checkpoint of a log."""
