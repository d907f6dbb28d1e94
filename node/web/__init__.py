"""The web page and the REST API: what the command line does, in a browser.

users        who may sign in, and as what
sessions     signed-in browsers, and how often a password may be tried
person       who asks: by session, token or reverse proxy
guard        what every request must pass: host, size, rights, CSRF; headers of every answer
site         what all requests share
commands     the node's own commands, each in a process of its own
samples      what a recipe does to a file, by such a command
holds        what may be done with what is held
history      rates, remembered for charts
charts       charts as SVG
pages/, api/ one module for each subject
app          all of it, put together
serving      the process

Guarantees
    The process has neither the secret nor a decoder of data sets: whatever needs keys, or opens a file that came from
    outside, runs as a command of the node in a process of its own, with limits. It only listens, reads and writes the
    ledger; its end does no harm to the way of an instance. Nothing of a request is in a log. Identity is shown to
    re-identifiers alone, and only after the audit trail has it.
"""
