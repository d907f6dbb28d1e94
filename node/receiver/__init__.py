"""The role that receives: C-STORE to a durable file and a durable row, then the answer.

origin  where an association's instances come from, and their envelope
writer  one instance on its way into the spool
door    what one peer may take of the node
policy  what the node decides about an association and its instances
worker  the process
"""
