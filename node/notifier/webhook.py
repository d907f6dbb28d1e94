"""Messages to a webhook: JSON by POST; taken is what is answered by 2xx, and nothing is sent anywhere else.

Guarantees that a redirection is not followed, that no error repeats the address or an answer's text, since both may
hold secrets.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from node import __version__
from node.config.notify import Webhook
from node.errors import ConnectionFailed, HandshakeFailed, NetworkError
from node.notifier.messages import Message

SECONDS = 10.0


class _NoRedirect(HTTPRedirectHandler):
    """Lets a redirection be the answer that it is."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


class WebhookChannel:
    """An HTTP server that takes messages."""

    name = "webhook"

    def __init__(self, settings: Webhook) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        """Post a message. Raises NetworkError."""
        header = {"Content-Type": "application/json", "User-Agent": f"deid-node/{__version__}"}
        request = Request(  # noqa: S310 — the configuration takes http and https only
            self._settings.url,
            json.dumps(message.json()).encode(),
            header | self._settings.header,
            method="POST",
        )
        try:
            context = ssl.create_default_context(cafile=self._settings.ca)
            opener = build_opener(_NoRedirect, HTTPSHandler(context=context))
            with opener.open(request, timeout=SECONDS) as answer:
                answer.read(1)
        except HTTPError as error:
            error.close()
            raise NetworkError(f"the webhook answered {error.code}") from None
        except (URLError, OSError, http.client.HTTPException) as error:
            _raise(error.reason if isinstance(error, URLError) else error)


def _raise(error: object) -> NoReturn:
    if isinstance(error, ssl.SSLCertVerificationError):
        raise HandshakeFailed(f"the webhook's certificate is not accepted: {error.verify_message}") from None
    if isinstance(error, TimeoutError):
        raise ConnectionFailed("the webhook does not answer in time") from None
    why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    raise ConnectionFailed(f"no connection to the webhook ({why})") from None
