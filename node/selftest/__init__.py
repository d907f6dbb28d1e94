"""The self test: every route of a configuration, tried out with a synthetic study in a node of its own.

Guarantees that the real code runs with the route's own recipe, project, rules and options, over the network, and that
nothing of the node that serves is touched: no map, no count, no destination, no port. What differs from it is listed in
`node.selftest.rewriting`. A route that cannot be shown to work has failed.
"""

from node.selftest.running import run

__all__ = ["run"]
