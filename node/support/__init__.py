"""What a developer needs to know of a node in trouble, and nobody's name: the support bundle.

tokens      names of the site, each replaced by a word that stands for it
settings    the configuration, without secrets and names
log         the end of the node's log, where it is a file
bundle      all of it, in one file
"""

from node.support.bundle import write_bundle

__all__ = ["write_bundle"]
