"""The role that removes identity: claims received instances, cleans them, commits the results.

plan        what a route asks for, ready to be applied
identities  replacements for one instance, by map and by key
output      writes a cleaned file from spans of the original
cleaning    one instance, from the original to its result
worker      the process
"""
