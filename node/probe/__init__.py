"""A synthetic study that shows whether a route does what it should: made, sent, and looked at where it arrived.

Guarantees that nothing of it is anybody's: every value is random, made for one study, and found again by its looks
alone, never by what a recipe says it did. What is found is told by tag path and kind, never by value. Refuses nothing:
what cannot be shown counts as failed.
"""

from node.probe.leaking import stray
from node.probe.looking import examine
from node.probe.report import Check, RouteReport, Verdict
from node.probe.sending import Door, Sent, send
from node.probe.study import Study, make_study

__all__ = ["Check", "Door", "RouteReport", "Sent", "Study", "Verdict", "examine", "make_study", "send", "stray"]
