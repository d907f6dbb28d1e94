"""The role that receives: C-STORE to a durable file and a durable row, then the answer.

writer  one instance on its way into the spool
policy  what the node decides about an association and its instances
worker  the process
"""
