"""Messages by mail (RFC 5321, RFC 5322), over TLS unless the configuration says otherwise.

Guarantees that `send` returns only when the server has taken the message, and that no error names a person or repeats
what a server said: its codes and the kind of the failure are enough.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import NoReturn

from node.config.notify import Mail
from node.errors import ConnectionFailed, HandshakeFailed, NetworkError
from node.notifier.messages import Message

SECONDS = 10.0  # for each answer of a server


class MailChannel:
    """A mail server, and who gets what it is given."""

    name = "mail"

    def __init__(self, settings: Mail) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        """Give a message to the server. Raises NetworkError."""
        try:
            with self._connected() as server:
                if self._settings.user is not None and self._settings.password is not None:
                    server.login(self._settings.user, self._settings.password)
                server.send_message(self._written(message))
        except (smtplib.SMTPException, OSError) as error:
            _raise(error)

    def _connected(self) -> smtplib.SMTP:
        settings = self._settings
        host, port = settings.server
        us = socket.gethostname() or "localhost"
        if settings.tls == "none":
            return smtplib.SMTP(host, port, us, SECONDS)
        context = ssl.create_default_context(cafile=settings.ca)
        if settings.tls == "tls":
            return smtplib.SMTP_SSL(host, port, us, timeout=SECONDS, context=context)
        server = smtplib.SMTP(host, port, us, SECONDS)
        try:
            server.starttls(context=context)
        except BaseException:
            server.close()
            raise
        return server

    def _written(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        mail["Subject"] = message.subject
        mail["From"] = self._settings.from_
        mail["To"] = ", ".join(self._settings.to)
        mail["Date"] = formatdate(message.at, usegmt=True)
        mail["Message-ID"] = make_msgid(domain=self._settings.from_.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text())
        return mail


def _raise(error: Exception) -> NoReturn:
    """Say what went wrong without repeating what the server said, which may name its users."""
    match error:
        case ssl.SSLCertVerificationError():
            raise HandshakeFailed(f"the mail server's certificate is not accepted: {error.verify_message}") from None
        case smtplib.SMTPAuthenticationError():
            raise NetworkError(f"the mail server does not accept user and password ({error.smtp_code})") from None
        case smtplib.SMTPRecipientsRefused():
            raise NetworkError("the mail server accepts none of the addresses in `to`") from None
        case smtplib.SMTPNotSupportedError():
            raise NetworkError("the mail server does not offer what the configuration asks for (TLS, login)") from None
        case smtplib.SMTPResponseException():
            raise NetworkError(f"the mail server refused the message ({error.smtp_code})") from None
        case TimeoutError():
            raise ConnectionFailed("the mail server does not answer in time") from None
        case OSError() if not isinstance(error, smtplib.SMTPException):
            why = error.strerror or type(error).__name__
            raise ConnectionFailed(f"no connection to the mail server ({why})") from None
    raise NetworkError(f"the mail server broke off ({type(error).__name__})") from None
