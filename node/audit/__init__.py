"""Audit messages: the XML of PS3.15 A.5, the chain that they stand in, and how they go to a syslog receiver.

messages    an audit message and its XML
kinds       the messages that the node writes, and what stands in each (docs/audit.md)
actor       who asked for something
chain       the keyed hash of each entry, and what was done to a chain since it was written
syslog      RFC 5424 messages in RFC 5425 frames over TLS

Guarantees that no message holds a value of an original data set: patients stand there by pseudonym, studies by their
replaced UID, instances by the node's own id. Nothing here knows of the ledger.
"""
