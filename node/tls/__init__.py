"""TLS by files: certificates, keys, and the contexts made of them (RFC 8446, RFC 5246, BCP 195 = RFC 9325).

Guarantees that nothing below TLS 1.2, no cipher suite without forward secrecy and authenticated encryption, and no peer
without a valid certificate (where one is asked for) is ever accepted; that files which change are taken up for new
connections, and files that cannot be used never replace those that could. Refuses a key that others than its owner may
read. Nothing here opens a socket; the transport is `node.dicomnet.secure`.
"""

from node.tls.certificates import Files, Problem, days_left, problems
from node.tls.security import WARN_DAYS, Security

__all__ = ["WARN_DAYS", "Files", "Problem", "Security", "days_left", "problems"]
