"""Change control: what a change of the configuration means, how many must approve it, and whether they did.

`snapshot` reads a bundle back from what its digest is of; `difference` and `surfaces` compare two; `statement` is what
approvers sign; `chain` keeps proposals and what was applied; `control` says whether a bundle may serve; `replay` tells
what a change would have meant for the calls of the past.
"""
