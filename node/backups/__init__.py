"""Backups: what belongs to one, its file, and when the node makes one by itself. `node.restore` puts one back.

contents    what a backup holds, and what it does not
archive     the stream of its members
making      the file, encrypted, made while the node serves
schedule    backups that the keeper has made, and those that it lets go of
"""

from node.backups.making import back_up

__all__ = ["back_up"]
