"""The few REST calls that the harness makes to an API server itself, without a Kubernetes client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import requests

from workbench.kube.certificates import KeyPair

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"

__all__ = ["JSON_PATCH", "MERGE_PATCH", "ApiError", "RestClient"]


class ApiError(RuntimeError):
    """The API server answered with an error; the message is the server's."""

    def __init__(self, code: int, message: str, body: Any = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.body = body


class RestClient:
    """Talks JSON to one API server, in the name of one user."""

    def __init__(self, server: str, *, authority: Path | None = None, client: KeyPair | None = None) -> None:
        self.server = server
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business between us and the loopback interface
        if authority is not None:
            self._session.verify = str(authority)
        if client is not None:
            self._session.cert = (str(client.certificate), str(client.key))

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json", timeout: float = 30
    ) -> Any:
        """Send a request and return the parsed answer.

        Args:
            method: the HTTP method.
            path: path and query, such as ``/api/v1/namespaces``.
            body: what to send as JSON.
            content_type: tells the kinds of PATCH apart.
            timeout: seconds to wait for the answer.

        Raises:
            ApiError: the answer's status is 400 or above.
            requests.ConnectionError: there is no server.
        """
        answer = self._session.request(
            method,
            self.server + path,
            json=body,
            headers={"Content-Type": content_type, "Accept": "application/json"},
            timeout=timeout,
        )
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        document = answer.json() if is_json else answer.text
        if answer.status_code >= 400:
            message = document.get("message", answer.reason) if isinstance(document, dict) else str(document)
            raise ApiError(answer.status_code, message, document)
        return document

    def create(self, path: str, body: Any, *, exists_ok: bool = False) -> Any:
        """POST ``body`` to a collection; with ``exists_ok`` a conflict counts as success and gives None."""
        try:
            return self.request("POST", path, body)
        except ApiError as error:
            if exists_ok and error.code == 409:
                return None
            raise

    def get_or_none(self, path: str) -> Any:
        """GET, with None for a 404."""
        try:
            return self.request("GET", path)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def watch(self, path: str, *, resource_version: str = "", seconds: int = 5) -> Iterator[Any]:
        """Yield what happens in a collection, until the server ends the watch after ``seconds``."""
        query = f"?watch=true&timeoutSeconds={seconds}&resourceVersion={resource_version}"
        with self._session.get(self.server + path + query, stream=True, timeout=seconds + 30) as answer:
            if answer.status_code >= 400:
                raise ApiError(answer.status_code, answer.text)
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
