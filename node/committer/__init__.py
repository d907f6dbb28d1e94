"""Role: finds out whether the destinations have what senders ask about, and reports to them (docs/commitment.md).

deciding    what is to be said of each instance of a request
confirming  asking a destination what it has, by the first way that it offers
answering   the report to the sender
worker      the role's process
"""
