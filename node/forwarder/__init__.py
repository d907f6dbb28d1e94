"""The role that sends cleaned instances on: lanes for each destination, settled answer by answer.

outcome   what a status or a failure means (pure)
retry     when to try again (pure)
contexts  which presentation contexts a batch needs (pure)
gate      whether a destination is to be tried now, shared by its lanes
lane      one association at a time to one destination
worker    the process
"""
