"""The role that tells people: by mail and by webhook, of what somebody has to look at, and when it is over.

matters    what there is to tell now, out of the ledger and the disk
deciding   what of it is told now: pure
messages   a message as text and as JSON
mail       a mail server
webhook    an HTTP server
worker     the role
"""
