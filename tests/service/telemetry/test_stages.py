import contextvars

from service.telemetry import stages


def test_the_stages_of_a_request_add_up_in_the_order_in_which_they_came() -> None:
    def request() -> str:
        stages.begin()
        stages.add("queue", 0.001)
        stages.add("inference", 0.02)
        stages.add("queue", 0.0005)
        return stages.server_timing()

    assert contextvars.copy_context().run(request) == "queue;dur=1.50, inference;dur=20.00"


def test_time_goes_to_the_request_that_it_was_spent_on() -> None:
    one, other = contextvars.copy_context(), contextvars.copy_context()
    for context in (one, other):
        context.run(stages.begin)
    stages.add("inference", 0.004, one)
    assert one.run(stages.server_timing) == "inference;dur=4.00"
    assert other.run(stages.server_timing) == ""


def test_work_for_no_request_is_left_out() -> None:
    def probe() -> str:
        stages.add("queue", 1.0)
        return stages.server_timing()

    assert contextvars.Context().run(probe) == ""
