"""The role that follows studies until they are complete (docs/completeness.md).

worker   the process: what happened, which studies are quiet, what is to be said of them
asking   one destination after another's study: what has it?
"""
