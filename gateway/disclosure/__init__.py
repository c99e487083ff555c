"""What customers are told of sub-processors: the public page, its change log and feed, and the notices to be sent.

Everything is derived from the registry at an instant, so the page cannot say other than what is enforced. No tenant's
id and no caller's word is in anything public.
"""
