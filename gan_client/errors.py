"""Why a call has no result."""


class ClientError(Exception):
    """A call failed; the message says why and what to do."""


class UnreachableError(ClientError):
    """No service responded within the deadline."""


class ProblemError(ClientError):
    """The service refused the request, or could not serve it within the deadline."""

    def __init__(
        self, status: int, kind: str, detail: str, request_id: str | None = None, retry_after: float | None = None
    ) -> None:
        """Takes the contents of a problem document.

        `status`: HTTP status. `kind`: the problem's name, as docs/calling/problems.md lists them; empty for a response
        that is no problem document. `detail`: what to do. `request_id`: id of the request in the log of the service.
        `retry_after`: seconds after which the service asks for the request again.
        """
        super().__init__(f"{detail} (status {status}{f', {kind}' if kind else ''})")
        self.status, self.kind, self.detail, self.request_id = status, kind, detail, request_id
        self.retry_after = retry_after
