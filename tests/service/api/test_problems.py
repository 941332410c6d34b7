import json
import logging
import pickle

import pytest

from service.api.problems import MEDIA_TYPE, problem_response, unexpected
from service.errors import Problem


def test_a_problem_becomes_an_rfc_9457_document() -> None:
    response = problem_response(Problem(404, "unknown-model", "no such model", available=["mnist/1"]), "abc")
    assert (response.status_code, response.media_type) == (404, MEDIA_TYPE)
    assert json.loads(response.body) == {
        "type": "urn:gan:problem:unknown-model",
        "title": "Not Found",
        "status": 404,
        "detail": "no such model",
        "instance": "urn:gan:request:abc",
        "request_id": "abc",
        "available": ["mnist/1"],
    }


def test_a_problem_carries_its_headers() -> None:
    response = problem_response(Problem(503, "queue-full", "later", headers={"Retry-After": "3"}), "abc")
    assert response.headers["retry-after"] == "3"


def test_an_unexpected_error_goes_to_the_log_and_only_its_id_to_the_client(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "service"):
        try:
            raise RuntimeError("secret")
        except RuntimeError:
            response = unexpected("abc")
    assert response.status_code == 500
    assert b"secret" not in response.body
    assert b"abc" in response.body
    assert "secret" in caplog.text
    assert "abc" in caplog.text


def test_a_problem_can_be_pickled_whole() -> None:
    problem = pickle.loads(pickle.dumps(Problem(413, "too-large", "shrink it", headers={"X-Limit": "1"}, there=["a"])))
    assert (problem.status, problem.kind, problem.detail) == (413, "too-large", "shrink it")
    assert (problem.headers, problem.extra) == ({"X-Limit": "1"}, {"there": ["a"]})
