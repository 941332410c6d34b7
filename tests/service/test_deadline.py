import time

import pytest

from service.deadline import Deadline
from service.errors import Problem


def test_a_deadline_has_its_seconds_left_at_first() -> None:
    deadline = Deadline.after(30.0)
    deadline.check()
    assert 29.0 < deadline.left <= 30.0


def test_a_passed_deadline_is_a_problem_that_names_the_time_the_request_had() -> None:
    deadline = Deadline(2.5, time.monotonic() - 1.0)
    assert deadline.left == 0.0
    with pytest.raises(Problem, match=r"within 2\.5 s") as caught:
        deadline.check()
    assert (caught.value.status, caught.value.kind) == (504, "deadline-exceeded")
