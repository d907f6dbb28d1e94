"""The role that removes identity: claims received instances, cleans them, commits the results.

plan      what a route asks for, ready to be applied
sorting   an instance whose UID came before
cleaning  one instance, from the original to its result
worker    the process
"""
